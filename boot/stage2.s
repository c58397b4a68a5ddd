# stage2.s - from stage 1 to the kernel, one call per step
#
# Mode:      16-bit real mode, 32-bit protected mode, 64-bit long mode: each
#            once, in this order
# Called by: stage1.s, which has verified every byte of this stage
# Provides:  stage2; die16; the image header, which the image builder fills in
# Next:      the files in the order of the calls; errors.s has the messages

# ANCHOR: uses
        .include "layout.inc"
        .include "pc.inc"

        .set    INT10_NO_VIDEO, 0xf000f065      # the vector that a BIOS sets
                                # where there is no video ROM to take it over
        .set    VIDEO_ROM_END,  0xc8    # video ROMs: segments C000h to C7FFh

        .section .stage2, "ax"
        .code16
# ANCHOR_END: uses

# ANCHOR: header
        .globl  image_header, checksums_sector, checksums_sectors, checksums_checksum
        .globl  kernel_sector, kernel_sectors, elf_sectors, allow_wx, serial_mode
        .globl  stack_pages, max_frame, features, quiet, recursive_address
        .globl  info_address, stack_guard, physical_offset
        .globl  reserved_ranges, reserved_ranges_end
image_header:
        jmp     .Lchained
        .ascii  "siso_2"
checksums_sector:   .long   0   # first sector of the checksum table,
checksums_sectors:  .long   0   # how many sectors it has,
checksums_checksum: .fill   CHECKSUM_BYTES, 1, 0        # of its first block
kernel_sector:      .long   0   # first sector of the kernel's ELF file,
kernel_sectors:     .long   0   # how many sectors it has,
elf_sectors:        .long   0   # how many of those hold its headers
allow_wx:           .long   0   # 1: some page is W and X; WX=1 allowed it
serial_mode:        .long   0   # SERIAL_AUTO, SERIAL_ON or SERIAL_OFF
stack_pages:        .long   0   # of the kernel's stack
max_frame:          .long   0   # physical memory that is managed ends here
features:           .long   0   # FEATURE_CRATE and others: whose kernel it is
quiet:              .long   0   # 1: errors are shown, and nothing else
recursive_address:  .quad   0   # of the PML4, if it has an entry for itself, or 0
        # Virtual memory that is not the kernel's: first and last address of
reserved_ranges:
info_address:       .quad   0, 0        # the boot info,
stack_guard:        .quad   0, 0        # the guard page and the stack above it,
physical_offset:    .quad   0, 0        # the window to physical memory
reserved_ranges_end:
# ANCHOR_END: header

# Other boot loaders start a partition by loading its first sector, this one,
# to 0000:7C00, without the rest of the stage. Then this says what to do.
# ANCHOR: chained
.Lchained:
        xor     %ax, %ax
        mov     %ax, %ds
        cld
        mov     $msg_chained - image_header + STAGE1_BASE, %si
.Lchar: lodsb
        test    %al, %al
        jz      .Lsaid
        push    %si
        mov     $0x0e, %ah              # INT 10h AH=0Eh: teletype output
        mov     $0x0007, %bx
        int     $0x10
        pop     %si
        jmp     .Lchar
.Lsaid: int     $0x18                   # the next boot device
.Lhalt: hlt
        jmp     .Lhalt
msg_chained:
        .asciz  "boot the disk, not the partition\r\n"
# ANCHOR_END: chained

# ANCHOR: main_line
        .globl  stage2
stage2: mov     $0x0003, %ax            # INT 10h AH=00h: mode 3, 80x25 text
        int     $0x10
        push    %ss                     # DS = 0 again: needed after each BIOS
        pop     %ds                     # call, until bios_call takes care of it
        call    serial_choose
        call    cpu_check
        call    low_memory_check
        call    a20_open
        call    enter_protected
        .code32
        call    identity_map
        call    enter_long
        .code64
        call    hello
        call    header_check
        call    memory_read
        call    kernel_open
        call    elf_check
        call    allocate
        call    kernel_load
        call    address_space
        call    boot_info
        jmp     start_kernel
# ANCHOR_END: main_line

# serial_choose - set up COM1, unless the BIOS mirrors the screen there
#
# Clobbers:  AX, DX
#
# SGABIOS, SeaBIOS's serial console and the console redirection of servers
# take INT 10h over and send its text to COM1 themselves, at their own speed.
# The sign: the vector points past the video ROM, to C800h or above. (Where the
# video BIOS itself is up there, the image needs --serial on.)
# ANCHOR: serial
        .code16
serial_choose:
        cld
        mov     serial_mode, %al
        cmp     $SERIAL_OFF, %al
        je      .Loff
        cmp     $SERIAL_ON, %al
        je      serial_init
        cmpl    $INT10_NO_VIDEO, IVT_INT10
        je      serial_init
        cmpb    $VIDEO_ROM_END, IVT_INT10 + 3   # high byte of its segment
        jb      serial_init
.Loff:  movw    $0, serial_status
        ret
# ANCHOR_END: serial

# low_memory_check - stop unless the memory below the BIOS's own holds all we use
#
# Clobbers:  AX, SI
# ANCHOR: low_memory
low_memory_check:
        int     $0x12                   # INT 12h. Out: AX = KiB below the EBDA,
        push    %ss                     # the extended BIOS data area
        pop     %ds
        cmp     $LOW_MEMORY_END / 1024, %ax
        mov     $msg_low, %si
        jb      die16
        ret
# ANCHOR_END: low_memory

# die16 - show an error, wait for a key, let the BIOS try the next boot device
#
# In:        SI = string, zero-terminated
# ANCHOR: die16
        .globl  die16
die16:  call    print
        mov     $msg_key, %si
        call    print
        jmp     die_wait
# ANCHOR_END: die16

# hello - say that stage 2 runs, and from which drive
# ANCHOR: hello
        .code64
hello:  mov     $msg_hello, %esi
        call    put
        movzbl  boot_drive, %eax
        mov     $2, %ecx
        call    put_hex
        jmp     flush

        .section .messages, "a"
msg_hello:
        .asciz  "\r\nsiso_os: stage 2, drive "
# ANCHOR_END: hello
