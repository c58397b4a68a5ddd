# a20.s - open the gate of address line 20
#
# Mode:      16-bit real mode
# Called by: stage2.s; bios.s after each BIOS call
# Provides:  a20_open, a20_method
# Next:      protected.s
#
# The 8086 had 20 address lines, so FFFF:0010 was address 0 again, and programs
# relied on it. The PC/AT of 1984 had 24, and a gate that holds line 20 at 0.
# While it is closed, every odd MiB is the even one below it. No single way
# opens it everywhere: test, try the cheapest, test again.

# ANCHOR: uses
        .include "layout.inc"
        .include "pc.inc"

        .set    LOOKS_FIRST,  32        # how often to look: at first,
        .set    LOOKS_AFTER,  0x8000    # and after an attempt: 30 ms or more, as
                                        # some gates take their time
        .set    KBC_POLLS,    0xffff    # some 0.1 s

        .section .stage2, "ax"
        .code16
# ANCHOR_END: uses

# a20_open - open the gate, or stop
#
# Out:       a20_method = which method opened it last: 0 none (it was open), 1 BIOS,
#            2 keyboard controller, 3 port 92h
# Clobbers:  EAX, CX, SI; FS = FFFFh
# Needs:     DS = SS = 0
# ANCHOR: a20
# ANCHOR: open
        .globl  a20_open
a20_open:
        mov     $LOOKS_FIRST, %cx
        call    .Ltest
        jne     .Lopen

        movl    $1, a20_method
        mov     $0x2401, %ax            # INT 15h AX=2401h: enable A20. Only the
        pushal                          # test is trusted, not what it answers
        int     $0x15
        push    %ss
        pop     %ds
        popal
        call    .Ltest_after
        jne     .Lopen
# ANCHOR_END: open

# ANCHOR: open_more
        incl    a20_method
        call    .Lkeyboard
        call    .Ltest_after
        jne     .Lopen

        incl    a20_method
        in      $PORT_SYSTEM_A, %al
        or      $SYSTEM_A_A20, %al
        and     $~SYSTEM_A_RESET, %al
        out     %al, $PORT_SYSTEM_A
        call    .Ltest_after
        jne     .Lopen
        mov     $msg_a20, %si
        jmp     die16
.Lopen: ret
# ANCHOR_END: open_more

# Does 1 MiB higher hold the same? Writes a counter low, compares high, CX
# times at most. Out: ZF = 0: the gate is open
# ANCHOR: test
.Ltest_after:
        mov     $LOOKS_AFTER, %cx
.Ltest: mov     $0xffff, %ax
        mov     %ax, %fs                # FFFF:x+10h is x + 1 MiB
.Llook: incw    a20_probe
        mov     a20_probe, %ax
        cmp     %fs:a20_probe + 0x10, %ax
        jne     .Ltested
        out     %al, $PORT_DELAY
        loop    .Llook
        cmp     %ax, %ax                # ZF = 1
.Ltested:
        ret
# ANCHOR_END: test

# Through the keyboard controller's output port, whose bit 1 is the gate.
# ANCHOR: keyboard
.Lkeyboard:
        cli                             # its interrupt handler reads there, too
        call    .Lready
        jc      .Lno_controller
        mov     $KBC_WRITE_OUTPUT, %al
        out     %al, $PORT_KBC
        call    .Lready
        mov     $KBC_A20_ON, %al
        out     %al, $PORT_KBC_DATA
        call    .Lready
        mov     $KBC_NULL, %al          # some need a command after it
        out     %al, $PORT_KBC
        call    .Lready
.Lno_controller:
        sti
        ret
# ANCHOR_END: keyboard

# Waits until the controller takes a byte, and discards what it has for us.
# Out: CF = 1: it never does, or there is none
# ANCHOR: ready
.Lready:mov     $KBC_POLLS, %cx
.Lpoll: out     %al, $PORT_DELAY        # a bound in time, whatever the CPU
        in      $PORT_KBC, %al
        cmp     $KBC_NONE, %al
        je      .Lnone
        test    $KBC_OUTPUT_FULL, %al
        jz      .Lempty
        in      $PORT_KBC_DATA, %al
        jmp     .Lagain
.Lempty:test    $KBC_INPUT_FULL, %al    # CF = 0
        jz      .Ltaken
.Lagain:loop    .Lpoll
.Lnone: stc
.Ltaken:ret
# ANCHOR_END: ready
# ANCHOR_END: a20

# ANCHOR: variables
        .globl  a20_method
a20_method:
        .long   0

        .bss
        .balign 2
a20_probe:
        .skip   2
# ANCHOR_END: variables
