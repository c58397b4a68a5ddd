# a20.s - open the gate of address line 20
#
# Mode:      16-bit real mode
# Called by: stage2.s
# Provides:  a20_open, a20_method
#
# While the gate is closed, every odd MiB is the even one below it. No single
# way opens it everywhere: test, try the cheapest, test again.

        .include "layout.inc"

        .set    PORT_KBC_DATA,   0x60   # keyboard controller 8042
        .set    PORT_KBC_STATUS, 0x64
        .set    KBC_INPUT_FULL,  0x02   # it has not read our last byte yet
        .set    KBC_WRITE_PORT,  0xd1   # next byte goes to its output port
        .set    KBC_A20_ON,      0xdf   # A20 on, reset line high
        .set    PORT_SYSTEM_A,   0x92   # "fast A20"
        .set    SYSTEM_A_A20,    0x02
        .set    SYSTEM_A_RESET,  0x01   # resets the PC when set

        .section .stage2, "ax"
        .code16

# a20_open - open the gate, or stop
#
# Out:       a20_method = 0 was open, 1 BIOS, 2 keyboard controller, 3 port 92h
# Clobbers:  EAX, CX, DX, SI, FS
# ANCHOR: a20
        .globl  a20_open
a20_open:
        movl    $0, a20_method
        call    .Ltest
        jne     .Lopen

        incl    a20_method
        mov     $0x2401, %ax            # INT 15h AX=2401h: enable A20. What it
        pushal                          # answers is not trusted, the test is
        int     $0x15
        popal
        call    .Ltest
        jne     .Lopen

        incl    a20_method
        call    .Lkbc
        mov     $KBC_WRITE_PORT, %al
        out     %al, $PORT_KBC_STATUS
        call    .Lkbc
        mov     $KBC_A20_ON, %al
        out     %al, $PORT_KBC_DATA
        call    .Lkbc
        call    .Ltest
        jne     .Lopen

        incl    a20_method
        in      $PORT_SYSTEM_A, %al
        or      $SYSTEM_A_A20, %al
        and     $~SYSTEM_A_RESET, %al
        out     %al, $PORT_SYSTEM_A
        call    .Ltest
        jne     .Lopen
        mov     $msg_a20, %si
        jmp     die
.Lopen: ret

# In short: does 1 MiB higher hold the same? Writes a counter low, compares
# high; some gates take a while, so up to 256 looks. Out: ZF = 0: open
.Ltest: mov     $0xffff, %ax
        mov     %ax, %fs                # FFFF:x+10h is x + 1 MiB
        mov     $0x100, %cx
.Llook: incw    a20_probe
        mov     a20_probe, %ax
        out     %al, $0x80              # takes about 1 us
        cmp     %fs:a20_probe + 0x10, %ax
        loope   .Llook
        ret

# Waits until the keyboard controller takes a byte, 64 Ki looks at most.
.Lkbc:  xor     %cx, %cx
.Lfull: in      $PORT_KBC_STATUS, %al
        test    $KBC_INPUT_FULL, %al
        loopnz  .Lfull
        ret
# ANCHOR_END: a20

        .bss
        .balign 4
        .globl  a20_method
a20_method:
        .skip   4
a20_probe:
        .skip   2
