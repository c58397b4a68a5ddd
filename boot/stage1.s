# stage1.s - the boot sector: reads stage 2, proves it, jumps to it
#
# Mode:      16-bit real mode
# Called by: the BIOS at 0000:7C00 (or 07C0:0000), DL = boot drive
# Provides:  disk_read, print, putc, die: stage 2 goes on using them
# Read also: stage2.s, which comes next; boot.ld, the map of both stages
#
# Sector 0 belongs to others, too. Bytes 0x03 to 0x59 are a hole in the shape
# of a BIOS parameter block: firmware that takes a stick for a floppy writes
# into it, so there is no code in it. From 0x1B8 on come the disk signature
# and the partition table, which the image builder fills.

        .include "layout.inc"

        .set    PORT_DEBUG,  0xe9       # emulators show what is written here
        .set    COM1_DATA,   0x3f8      # 16550: transmit; divisor (DLAB)
        .set    COM1_LCR,    0x3fb      # 16550: line control
        .set    COM1_LSR,    0x3fd      # 16550: line status
        .set    LCR_8N1,     0x03       # 8 bits, no parity, 1 stop bit
        .set    LCR_DLAB,    0x80       # divisor latch access
        .set    LSR_THRE,    0x20       # transmitter holding register empty
        .set    KEY_TICKS,   30 * 18    # half a minute of 18.2 Hz

        # How disk_read stands: two bits count the tries left, one says LBA.
        .set    TRIES,       3
        .set    TRIES_LBA,   4

        .section .stage1, "ax"
        .code16
        .globl  stage1
stage1: jmp     start
        nop
name:   .asciz  "siso_os"               # where a BPB names its formatter
        .org    stage1 + 0x3e           # no floppy's BPB reaches up to here
        .globl  msg_disk
msg_disk:
        .asciz  "E1 disk read"
msg_stage2:
        .asciz  "E2 stage 2 bad"
        .org    stage1 + 0x5a

# ANCHOR: entry
start:  xor     %ax, %ax                # CS may be 07C0h; nothing here minds,
        mov     %ax, %ds                # the far jump to stage 2 sets it
        mov     %ax, %es
        mov     %ax, %ss                # no interrupt before the next line
        mov     $STACK_TOP, %sp
        sti
        cld
        test    $0x70, %dl              # 0x00-0x0F floppies, 0x80-0x8F disks;
        jz      .Lkeep                  # anything else is garbage
        mov     $0x80, %dl
.Lkeep: mov     %dl, boot_drive
# ANCHOR_END: entry

# ANCHOR: lba_check
        mov     $0x41, %ah              # INT 13h AH=41h: are there LBA reads?
        mov     $0x55aa, %bx            # Out: CF = 0, BX = AA55h, CX bit 0;
        int     $0x13                   # CF alone was seen to lie
        mov     $TRIES, %al
        jc      .Lstate
        cmp     $0xaa55, %bx
        jne     .Lstate
        shr     $1, %cx
        jnc     .Lstate
        mov     $TRIES | TRIES_LBA, %al
.Lstate:
        mov     %al, disk_state
# ANCHOR_END: lba_check

        mov     $0x0003, %ax            # INT 10h AH=00h: mode 3, 80x25 text
        int     $0x10

        mov     $COM1_LCR, %dx          # 115200 baud, 8N1: divisor 1
        mov     $LCR_DLAB | LCR_8N1, %al
        out     %al, %dx
        mov     $COM1_DATA & 0xff, %dl
        mov     $1, %ax
        out     %ax, %dx                # low byte there, high byte behind it
        mov     $COM1_LCR & 0xff, %dl
        mov     $LCR_8N1, %al
        out     %al, %dx

        mov     $name, %si
        call    print_line              # row 0 is left to the kernel

        xor     %eax, %eax
        inc     %ax                     # sector 1
        mov     $stage2_sectors, %cx
        mov     $STAGE2_BASE, %bx
        mov     boot_drive, %dl
        push    %bx
        call    disk_read
        mov     $msg_disk, %si
        jc      die

# ANCHOR: prove
        pop     %si                     # STAGE2_BASE
        mov     $stage2_dwords, %cx
        xor     %edx, %edx
.Lsum:  lodsl                           # no step loses a bit of EDX, so one
        xor     %eax, %edx              # wrong dword always changes the sum,
        imul    $SUM2_FACTOR, %edx      # and its place counts
        bswap   %edx
        loop    .Lsum
        cmp     $0x7fffffff, %edx       # the image builder puts the number in
        .globl  stage2_sum_end
stage2_sum_end:
        mov     $msg_stage2, %si
        jne     die
        ljmp    $0, $stage2
# ANCHOR_END: prove

# die - say what is wrong, wait for a key, let the BIOS try the next device
#
# In:        SI = code and sentence, zero-terminated
        .globl  die, die_wait
die:    call    print_line
die_wait:
        mov     $KEY_TICKS, %cx
.Lwait: sti                             # a BIOS call may return without
        hlt                             # the timer wakes us, or the key
        mov     $0x01, %ah              # INT 16h AH=01h: ZF = 1: no key yet
        int     $0x16
        loopz   .Lwait
        int     $0x18                   # not 19h: it starts with us again
.Lhalt: hlt                             # nothing else to boot
        jmp     .Lhalt

# print_line - begin a line and print; print - print where the cursor is
#
# In:        SI = text, zero-terminated
# Out:       SI = behind it
# Clobbers:  AL
        .globl  print_line, print
print_line:
        mov     $'\r', %al
        call    putc
        mov     $'\n', %al
.Lnext: call    putc
print:  lodsb
        test    %al, %al
        jnz     .Lnext
        ret

# putc - write a character to the screen, to COM1 and to port 0xE9
#
# In:        AL = character
        .globl  putc
putc:   pushaw                          # INT 10h may clobber even BP
        out     %al, $PORT_DEBUG
        xchg    %ax, %bx
        mov     $COM1_LSR, %dx
        mov     $0x10, %ch              # some 4,000 looks: milliseconds, while
.Lbusy: in      %dx, %al                # a byte takes 87 us; then go on
        test    $LSR_THRE, %al
        loopz   .Lbusy
        xchg    %ax, %bx
        mov     $COM1_DATA & 0xff, %dl
        out     %al, %dx
        mov     $0x0e, %ah              # INT 10h AH=0Eh: teletype, AL to
        xor     %bx, %bx                # page BH; BL counts in graphics only
        int     $0x10
        popaw
        ret

# disk_read - read sectors into memory (BIOS INT 13h, AH = 42h, else 02h)
#
# In:        EAX first sector; CX count, 1..127; ES:BX where to; DL drive
# Out:       CF  0 = done, 1 = failed, however often tried
# Needs:     DS = SS = 0; no buffer across a 64 KiB line
        .globl  disk_read
disk_read:
        pushal                          # a BIOS may clobber any of them, and
        push    %es                     # AH=08h changes ES
        testb   $TRIES_LBA, disk_state
        jz      .Lchs

# ANCHOR: lba
        pushl   $0                      # the disk address packet, from behind:
        pushl   %eax                    # first sector, 64 bits
        push    %es                     # where to
        push    %bx
        push    %cx                     # how many: a BIOS may change it, so
        push    $16                     # the packet is made anew every time
        mov     %sp, %si
        mov     $0x42, %ah              # INT 13h AH=42h: read. DS:SI = packet
        int     $0x13                   # Out: CF
        popaw                           # the packet's 16 bytes; keeps CF
# ANCHOR_END: lba

.Ltried:
        pop     %es
        popal
        jnc     .Ldone
        pushal
        xor     %ax, %ax                # INT 13h AH=00h: reset. A floppy's
        int     $0x13                   # motor needs it to be ready next time
        popal
        decb    disk_state              # the last try with LBA leaves the
        jns     disk_read               # number of the first one with CHS
        stc
        ret
.Ldone: orb     $TRIES, disk_state      # as many for the next read; CF = 0
        ret

# ANCHOR: chs
.Lchs:  push    %es
        push    %bx
        push    %cx
        push    %eax
        mov     $0x08, %ah              # INT 13h AH=08h: geometry. Out: CL =
        int     $0x13                   # sectors a track, DH = last head
        pop     %ebp                    # EBP = next sector
        pop     %si                     # SI = how many are left
        pop     %bx
        pop     %es
        jc      .Ltried
        and     $0x3f, %ecx             # none: read nothing, let the sum of
        jz      .Ltried                 # what was to come tell it
        movzx   %dh, %edi
        inc     %di
.Ltrack:
        mov     %ebp, %eax
        xor     %edx, %edx
        div     %ecx                    # EAX = track, EDX = sector in it
        push    %cx
        sub     %dx, %cx                # not beyond the end of the track,
        cmp     %si, %cx
        jbe     .Lfits
        mov     %si, %cx                # nor beyond what is asked for
.Lfits: push    %cx
        inc     %dx                     # CHS counts sectors from 1
        push    %dx
        xor     %edx, %edx
        div     %edi                    # EAX = cylinder, EDX = head
        pop     %cx
        mov     %al, %ch                # CX = cylinder 7-0, 9-8, sector
        shl     $6, %ah
        or      %ah, %cl
        mov     %dl, %dh
        mov     boot_drive, %dl
        pop     %ax
        mov     $0x02, %ah              # INT 13h AH=02h: read AL sectors
        pushal
        int     $0x13                   # Out: CF
        popal
        pop     %cx
        jc      .Ltried
        cbtw                            # AX = sectors read
        add     %al, %bh                # BX += 512 a sector
        add     %al, %bh
        cwtl
        add     %eax, %ebp
        sub     %ax, %si
        jnz     .Ltrack
        jmp     .Ltried
# ANCHOR_END: chs

        .globl  stage1_end
stage1_end:

        .bss
        .globl  boot_drive
boot_drive:
        .byte   0
disk_state:
        .byte   0
