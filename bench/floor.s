# floor.s - a boot sector that only reads: a lower bound for any loader
#
# Mode:      16-bit real mode
# Called by: the BIOS at 0000:7C00, DL = boot drive
# Read also: count.c, which counts up to ENTRY
#
# Reads SECTORS sectors from sector 1 on, 127 per call, all to the same address,
# then jumps to ENTRY. It checks only the carry flag. SECTORS and ENTRY are
# defined on the assembler's command line (--defsym).

        .set    STACK_TOP,   0x7c00
        .set    CHUNK_SEGMENT, 0x1000   # 64 KiB, of which a read takes 63.5
        .set    CHUNK_SECTORS, 127      # some BIOSes fail on more

        .code16
        .globl  _start
_start: xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss                # inhibits interrupts for one instruction
        mov     $STACK_TOP, %sp
        mov     $SECTORS, %ebp          # EBP = sectors left
.Lread: mov     $CHUNK_SECTORS, %ecx
        cmp     %ecx, %ebp
        jae     .Lcall
        mov     %ebp, %ecx
.Lcall: mov     %cx, count
        mov     $packet, %si
        mov     $0x42, %ah              # INT 13h AH=42h: extended read, DS:SI = packet
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
packet: .word   16                      # size of the packet
count:  .word   0
        .word   0, CHUNK_SEGMENT        # buffer: offset, segment
first:  .long   1, 0                    # first sector, 64 bits

        .org    _start + 510
        .word   0xaa55                  # boot signature
