# stage1.s - the boot sector: reads stage 2, verifies it, jumps to it
#
# Mode:      16-bit real mode
# Called by: the BIOS at 0000:7C00 (or 07C0:0000), DL = boot drive
# Provides:  disk_read, print, serial_init, die_wait: stage 2 calls them, too;
#            boot_drive, serial_status; stage1_end, stage2_checksum_end (build);
#            tries_left (tests)
# Next:      stage2.s
#
# Sector 0 is also the master boot record (MBR). Bytes 0x03 to 0x59 are where a
# floppy has a name and its BIOS parameter block (BPB): firmware that takes a USB
# stick for a floppy writes there, so they hold no code, only strings, which may
# be garbled then, and after the last field that a floppy's BPB has, data. The
# disk signature and the partition table begin at 0x1B8; the image builder fills
# them in.

# ANCHOR: uses
        .include "layout.inc"
        .include "cpu.inc"
        .include "pc.inc"

        .set    READ_TRIES,   4         # of stage 2, while its checksum is wrong
        .set    WAIT_SECONDS, 31        # the first look at the clock counts as
                                        # one, and the next one is short

        # The registers that disk_read saves: PUSHAL, then ES
        .set    SAVED_DI,     2 + PUSHAL_EDI
        .set    SAVED_DX,     2 + PUSHAL_EDX
# ANCHOR_END: uses

# ANCHOR: hole
        .section .stage1, "ax"
        .code16
        .globl  stage1, serial_status
stage1: jmp     start
        .byte   0x90                    # a NOP that never runs: a BPB has one
        .ascii  "siso_os "              # the field for the formatter's name
        .org    stage1 + 0x14           # so high that the data ends at 0x5a
msg_disk:
        .asciz  "\r\nE1 disk read\r\npress a key\r\n"
msg_stage2:
        .asciz  "\r\nE2 bad stage 2\r\npress a key\r\n"
serial_status:                          # the port to poll; 0: no serial line
        .word   COM1_LSR
serial_setup:                           # 115,200 baud: see serial_init
        .byte   LCR_DLAB | LCR_8N1, 1, 0, LCR_8N1, MCR_DTR | MCR_RTS | MCR_OUT2
        .globl  tries_left
tries_left:
        .byte   READ_TRIES
        .org    stage1 + 0x5a
# ANCHOR_END: hole

# ANCHOR: entry
start:  xor     %eax, %eax              # CS may be 07C0h: all jumps are relative
        mov     %ax, %ds                # until the far jump to stage 2 sets it
        mov     %ax, %es
        mov     %ax, %ss                # no interrupt can come before the next
        mov     $STACK_TOP, %sp         # instruction has set SP, too
        test    $0x70, %dl              # 00h-0Fh: floppies, 80h-8Fh: disks;
        jz      .Lkeep                  # anything else is garbage
        mov     $0x80, %dl
.Lkeep: mov     %dl, boot_drive
# ANCHOR_END: entry

# ANCHOR: verify
        inc     %ax                     # EAX = 1: the first sector of stage 2
        mov     $stage2_sectors, %cx
        mov     $STAGE2_BASE, %bx
        push    %bx
        call    disk_read
        mov     $msg_disk, %si
        jc      die
        pop     %si                     # STAGE2_BASE
        mov     $stage2_dwords, %cx
        xor     %ebp, %ebp              # EBP = checksum. Each step can be undone,
.Lsum:  lodsl                           # so one changed dword always changes
        xor     %eax, %ebp              # the result. The multiplication makes it
        imul    $STAGE2_FACTOR, %ebp    # depend on the dword's position; the
        rol     $1, %ebp                # rotation moves the highest bit, too
        loop    .Lsum
        cmp     $0x7fffffff, %ebp       # the image builder puts the checksum
        .globl  stage2_checksum_end     # into this instruction
stage2_checksum_end:
        jne     .Lwrong
        ljmp    $0, $stage2             # loads CS with 0
.Lwrong:decb    tries_left
        jnz     start                   # once more
        mov     $msg_stage2, %si
        # fall through
# ANCHOR_END: verify

# die - show an error, wait for a key, let the BIOS try the next boot device
#
# In:        SI = string, zero-terminated
# die_wait - the same without the string
#
# The wait ends after half a minute by the seconds of the real-time clock: they
# pass without interrupts, which a broken timer or PIC would not deliver.
# ANCHOR: die
        .globl  die_wait
die:    call    serial_init
        call    print
die_wait:
        mov     BDA_KEY_TAIL, %ax       # forget the keys pressed before, which
        mov     %ax, BDA_KEY_HEAD       # would dismiss the error unseen
        mov     $WAIT_SECONDS, %cx
.Lwait: mov     $0x01, %ah              # INT 16h AH=01h: ZF = 1: no key yet. It
        sti                             # is trusted to keep BX and CX
        int     $0x16
        jnz     .Lkey
        xor     %ax, %ax                # index 0: the seconds
        out     %al, $PORT_CMOS
        in      $PORT_CMOS_DATA, %al
        cmp     %al, %bl
        xchg    %ax, %bx
        je      .Lwait
        loop    .Lwait
.Lkey:  mov     BDA_KEY_TAIL, %ax       # this key is not for the next device
        mov     %ax, BDA_KEY_HEAD
        int     $0x18                   # not 19h, which starts with us again.
.Lhalt: hlt                             # nothing else to boot
        jmp     .Lhalt
# ANCHOR_END: die

# serial_init - set COM1 to 115,200 baud, 8 data bits, no parity, 1 stop bit
#
# Clobbers:  DX
# Needs:     DF = 0
# Five byte writes: some UARTs (VirtualBox's) ignore a 16-bit write.
# ANCHOR: serial_init
        .globl  serial_init
serial_init:
        push    %si
        mov     $serial_setup, %si
        mov     $COM1_LCR, %dx          # DLAB = 1: the first two registers are
        outsb                           # the divisor now,
        mov     $COM1_DATA & 0xff, %dl
        outsb                           # low byte: 1,
        inc     %dx
        outsb                           # high byte: 0
        mov     $COM1_LCR & 0xff, %dl
        outsb                           # DLAB = 0
        inc     %dx                     # COM1_MCR: some terminals wait for
        outsb                           # DTR and RTS
        pop     %si
        ret
# ANCHOR_END: serial_init

# print - print a string on the screen, on COM1 and on port E9h
#
# In:        SI = string, zero-terminated
# Out:       SI = after its end
# Clobbers:  AL
# ANCHOR: print_serial
.Lprint_next:
        pushaw                          # INT 10h may change even BP
        out     %al, $PORT_DEBUG
        mov     serial_status, %dx
        test    %dx, %dx
        jz      .Lscreen
        xchg    %ax, %bx
        mov     $0x10, %ch              # poll some 4,000 times: milliseconds,
.Lbusy: in      %dx, %al                # while a byte takes 87 us; then go on
        test    $LSR_THRE, %al
        loopz   .Lbusy
        xchg    %ax, %bx
        mov     $COM1_DATA & 0xff, %dl
        out     %al, %dx
# ANCHOR_END: print_serial
# ANCHOR: print
.Lscreen:
        mov     $0x0e, %ah              # INT 10h AH=0Eh: teletype output of AL
        mov     $0x0007, %bx            # on page BH; BL: colour, in graphics modes
        int     $0x10
        push    %ss                     # DS = 0, whatever it is now
        pop     %ds
        popaw
        .globl  print
print:  cld                             # a BIOS call may return with DF = 1
        lodsb
        test    %al, %al
        jnz     .Lprint_next
        ret
# ANCHOR_END: print

# disk_read - read sectors into memory (BIOS INT 13h, AH=42h, else AH=02h)
#
# In:        EAX first sector; CX count, 1..127; ES:BX buffer; DL drive
# Out:       CF  0 = done, 1 = every attempt failed; DF = 0
# Clobbers:  EAX, BX, CX, DH, EDI, BP
# Needs:     DS = SS = 0; a buffer that does not cross a 64 KiB boundary
#
# Logical block addressing (LBA) first, except for floppies, which do not have it.
# Each failure halves the number of sectors per call, as some BIOSes refuse more
# than a few. If even a single sector cannot be read, all of this is tried again
# by cylinder, head and sector (CHS). AH=41h is not asked whether there is LBA:
# its answer was seen to be wrong both ways.
# ANCHOR: disk_read
        .globl  disk_read
disk_read:
        xor     %edi, %edi              # its upper half stays 0
        mov     %dl, %dh                # DH bit 7: 1 = LBA, 0 = CHS
.Lmethod:
        mov     $CHUNK_SECTORS, %bp     # BP = the most for one call
.Lpart: mov     %bp, %di
        cmp     %cx, %di
        jb      .Lmost
        mov     %cx, %di                # DI = how many this time
.Lmost: pushal                          # a BIOS may change any of them, and
        push    %es                     # AH=08h changes ES
        test    %dh, %dh
        jns     .Lchs
# ANCHOR_END: disk_read

# ANCHOR: lba
        pushl   $0                      # the disk address packet, last field
        pushl   %eax                    # first: first sector, 64 bits;
        push    %es                     # buffer, segment and offset;
        push    %bx
        push    %di                     # how many (a BIOS may overwrite it, so
        push    $16                     # each call gets a new packet); size
        mov     %sp, %si
        mov     $0x42, %ah              # INT 13h AH=42h: read. In: DS:SI =
        int     $0x13                   # packet. Out: CF = 0: done
        popaw                           # drop its 16 bytes; CF stays
# ANCHOR_END: lba

# ANCHOR: after_read
.Ldone: jnc     .Lread
.Lreset:xor     %ax, %ax                # INT 13h AH=00h: reset. A floppy's
        mov     %ss:boot_drive, %dl     # motor needs it to be ready next time
        int     $0x13
        stc
.Lread: cld
        push    %ss                     # DS = 0, whatever it is now
        pop     %ds
        pop     %es
        popal
        jc      .Lfailed
        add     %edi, %eax              # go on after what was read
        sub     %di, %cx
        shl     $SECTOR_SHIFT, %di
        add     %di, %bx                # CF = 0
        inc     %cx
        loop    .Lpart                  # until CX = 0
        ret
.Lfailed:
        shr     $1, %bp
        jnz     .Lpart
        shl     $1, %dh                 # CF = bit 7: it was LBA, CHS is next
        jc      .Lmethod
        stc
        ret
# ANCHOR_END: after_read

# ANCHOR: chs
# ANCHOR: chs_geometry
.Lchs:  push    %eax
        push    %bx
        push    %di
        xor     %di, %di                # INT 13h AH=08h: drive geometry. In:
        mov     %di, %es                # ES:DI = 0:0, as some BIOSes want it
        mov     $0x08, %ah              # Out: CL bits 5-0 = sectors per track,
        int     $0x13                   # DH = last head
        pop     %di
        pop     %bx
        pop     %eax
        pop     %es                     # the buffer's segment again, which must
        push    %es                     # stay saved, too
        jc      .Lreset
        and     $0x3f, %ecx             # ECX = sectors per track
        jz      .Lreset                 # none: this drive has no geometry
# ANCHOR_END: chs_geometry
# ANCHOR: chs_address
        movzx   %dh, %esi
        inc     %si                     # ESI = heads
        xor     %edx, %edx
        div     %ecx                    # EAX = track, EDX = sector in it, from 0
        sub     %dx, %cx                # a call must not read past the end of
        cmp     %cx, %di                # the track
        jbe     .Lfits
        mov     %cx, %di
.Lfits: xchg    %dx, %cx
        inc     %cx                     # CHS counts sectors from 1
        xor     %dx, %dx
        div     %esi                    # EAX = cylinder, EDX = head
        mov     %al, %ch                # CH = cylinder bits 7-0
        shl     $6, %ah
        or      %ah, %cl                # CL = cylinder bits 9-8, sector
        mov     %dl, %dh                # DH = head
        mov     %sp, %bp
        mov     %di, SAVED_DI(%bp)      # POPAL will load the smaller count
        mov     SAVED_DX(%bp), %dl      # DL = drive
        xchg    %di, %ax
        mov     $0x02, %ah              # INT 13h AH=02h: read AL sectors to
        int     $0x13                   # ES:BX. Out: CF = 0: done
        jmp     .Ldone
# ANCHOR_END: chs_address
# ANCHOR_END: chs

# ANCHOR: end
        .globl  stage1_end
stage1_end:

        .bss
        .globl  boot_drive
boot_drive:
        .skip   1
# ANCHOR_END: end
