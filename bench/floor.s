# floor.s - a boot sector that only reads: what no loader can go below
#
# Mode:      16-bit real mode
# Called by: the BIOS at 0000:7C00, DL = boot drive
# Read also: plugin.c, which counts up to ENTRY
#
# Reads SECTORS sectors from sector 1 on, 127 a call, all to the same place,
# then jumps to ENTRY. It looks at nothing but the carry flag. Whoever
# assembles it defines both (--defsym).

        .set    STACK_TOP,   0x7c00
        .set    RUN_SEGMENT, 0x1000     # 64 KiB, of which a read takes 63.5
        .set    RUN_SECTORS, 127        # some BIOSes fail on more

        .code16
        .globl  _start
_start: xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss                # no interrupt before the next line
        mov     $STACK_TOP, %sp
        mov     $SECTORS, %ebp          # EBP = sectors left
.Lread: mov     $RUN_SECTORS, %ecx
        cmp     %ecx, %ebp
        jae     .Lcall
        mov     %ebp, %ecx
.Lcall: mov     %cx, count
        mov     $packet, %si
        mov     $0x42, %ah              # INT 13h AH=42h: read DS:SI's packet
        int     $0x13                   # Out: CF
        jc      .Lhalt
        movzwl  count, %ecx
        add     %ecx, first
        sub     %ecx, %ebp
        jnz     .Lread
        ljmp    $0, $ENTRY
.Lhalt: hlt
        jmp     .Lhalt

        .balign 4
packet: .word   16                      # its own size
count:  .word   0
        .word   0, RUN_SEGMENT          # where to: offset, segment
first:  .long   1, 0                    # first sector, 64 bits

        .org    _start + 510
        .word   0xaa55                  # what the BIOS looks for
