# stage2.s - the road from stage 1 to the kernel, one call a step
#
# Mode:      16-bit real mode
# Called by: stage1.s, which has proved every byte of this stage
# Provides:  the header that the image builder fills; print_hex, print_decimal
# Read also: the files in the order of the calls; errors.s has the sentences

        .include "layout.inc"

        .section .stage2, "ax"
        .code16

# ANCHOR: header
        .globl  stage2_header, proof_sector, proof_left, proof_sum
        .globl  kernel_sector, kernel_left, elf_sectors, allow_wx
        .globl  stack_pages, frames_known, info_address, stack_guard, physical_offset
        .globl  stage2_header_end
stage2_header:
        .ascii  "siso_os2"
proof_sector:   .long   0       # first sector of what proves the kernel,
proof_left:     .long   0       # how many there are,
proof_sum:      .fill   SUM_BYTES, 1, 0         # the sum of the first piece
kernel_sector:  .long   0       # first sector of the kernel's ELF,
kernel_left:    .long   0       # how many there are,
elf_sectors:    .long   0       # how many of them hold its headers
allow_wx:       .long   0       # 1: the user insists on W + X segments
stack_pages:    .long   0       # of the kernel's stack
frames_known:   .long   0       # of physical memory; what is above is left out
        # Virtual memory that is not the kernel's: first and last address.
info_address:   .quad   0, 0    # the boot info,
stack_guard:    .quad   0, 0    # the stack with the unmapped page below it,
physical_offset:.quad   0, 0    # physical memory
stage2_header_end:
# ANCHOR_END: header

# ANCHOR: road
        .globl  stage2
stage2: mov     BDA_KEY_TAIL, %ax       # a key of before is no answer to what
        mov     %ax, BDA_KEY_HEAD       # we may have to say
        call    hello
        call    cpu_check
        call    memory_low
        call    a20_open
        call    memory_read
        call    hop_prepare
        call    kernel_find
        call    kernel_load
        jmp     handover
# ANCHOR_END: road

# In short: tells that stage 2 runs, and from which drive.
hello:  mov     $msg_hello, %si
        call    print
        mov     boot_drive, %al
        shl     $24, %eax
        mov     $2, %cx
        # fall through

# print_hex - print hexadecimal digits
#
# In:        EAX = digits, the first one in bits 31-28; CX = how many
# Clobbers:  EAX, CX
        .globl  print_hex
print_hex:
        rol     $4, %eax
        push    %eax                    # all of it: INT 10h may change it
        and     $0x0f, %al
        cmp     $10, %al
        jb      .Lbelow
        add     $'A' - '0' - 10, %al
.Lbelow:add     $'0', %al
        call    putc
        pop     %eax
        loop    print_hex
        ret

# print_decimal - print a number
#
# In:        EAX = number
# Clobbers:  EAX, ECX, EDX
        .globl  print_decimal
print_decimal:
        mov     $10, %ecx
        xor     %edx, %edx
        div     %ecx
        push    %dx                     # the last digit, after all others
        test    %eax, %eax
        jz      .Lfirst
        call    print_decimal
.Lfirst:pop     %ax
        add     $'0', %al
        jmp     putc

        .section .messages, "a"
msg_hello:
        .asciz  ": stage 2, drive "
