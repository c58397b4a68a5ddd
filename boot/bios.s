# bios.s - the one way down to the BIOS, and back
#
# Mode:      64-bit long mode, 16-bit real mode and back
# Called by: every 64-bit file that needs the screen, the disk or an answer of
#            the BIOS
# Provides:  bios_call; bios_interrupt10, bios_interrupt15, bios_read_chunk: what
#            to call with it
# Next:      header.s
#
# BIOS services are 16-bit code. A BIOS call may change all that is its own in
# real mode, and was seen to: every register, the direction flag, interrupts,
# the GDT register, segment limits, and even the A20 gate. bios_call restores all
# of it. (`print` and `disk_read`, which make several calls in a row, save their
# own registers between them.) The stack and all of stage 2 lie below 64 KiB, so
# SP and code addresses are the same numbers in every mode.

# ANCHOR: uses
        .include "layout.inc"
        .include "cpu.inc"
        .include "pc.inc"

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# bios_call - run a 16-bit routine in real mode
#
# In:        R8D = the routine; EAX, EBX, ECX, EDX, ESI, EDI as it wants them.
#            It gets all segment registers 0, IF = 1, DF = 0, CF = 0
# Out:       EAX, EBX, ECX, EDX and CF as it left them
# Clobbers:  RBP, R8-R11
# ANCHOR: bios_call
# ANCHOR: save
        .globl  bios_call
bios_call:
        push    %rsi
        push    %rdi
        push    %r12                    # real mode does not keep them
        push    %r13
        push    %r14
        push    %r15
        sub     $PUSHAL_BYTES, %rsp     # POPAL will load them from here
        mov     %edi, PUSHAL_EDI(%rsp)
        mov     %esi, PUSHAL_ESI(%rsp)
        mov     %r8d, PUSHAL_EBP(%rsp)  # POPAL will put it into BP
        mov     %ebx, PUSHAL_EBX(%rsp)
        mov     %edx, PUSHAL_EDX(%rsp)
        mov     %ecx, PUSHAL_ECX(%rsp)
        mov     %eax, PUSHAL_EAX(%rsp)
# ANCHOR_END: save

        # Down: 16-bit segments, paging off and long mode with it, real mode.
# ANCHOR: down
        pushq   $SELECTOR_CODE16
        pushq   $.Lcode16
        lretq                           # pops the offset, then CS
        .code16
.Lcode16:
        mov     $SELECTOR_DATA16, %ax   # limits of 64 KiB: the CPU keeps those
        mov     %ax, %ds                # that were loaded last when it goes back
        mov     %ax, %es                # to real mode
        mov     %ax, %fs
        mov     %ax, %gs
        mov     %ax, %ss
        mov     %cr0, %eax
        and     $~(CR0_PG | CR0_WP), %eax
        mov     %eax, %cr0
        mov     $MSR_EFER, %ecx
        rdmsr
        and     $~EFER_LME, %eax
        wrmsr
        mov     %cr4, %eax
        and     $~CR4_PAE, %eax
        mov     %eax, %cr4
        mov     %cr0, %eax
        and     $~CR0_PE, %al
        mov     %eax, %cr0
        ljmp    $0, $.Lreal             # loads CS: real mode now
# ANCHOR_END: down
# ANCHOR: real
.Lreal: xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %fs
        mov     %ax, %gs
        mov     %ax, %ss
        lidtl   real_mode_idt
        out     %al, $PORT_CMOS         # NMIs may come again
        in      $PORT_CMOS_DATA, %al
        popal
        sti
        call    *%bp                    # the routine; CF = 0, from XOR
# ANCHOR_END: real

        # Up again.
# ANCHOR: up
        sbb     %bp, %bp                # bit 0 = CF
        pushal
        xor     %ax, %ax
        mov     %ax, %ds
        call    a20_open
        call    enter_protected
        .code32
        call    enter_long
        .code64
        btl     $0, PUSHAL_EBP(%rsp)    # CF as it was
        mov     PUSHAL_EBX(%rsp), %ebx
        mov     PUSHAL_EDX(%rsp), %edx
        mov     PUSHAL_ECX(%rsp), %ecx
        mov     PUSHAL_EAX(%rsp), %eax
        lea     PUSHAL_BYTES(%rsp), %rsp
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rdi
        pop     %rsi
        ret
# ANCHOR_END: up
# ANCHOR_END: bios_call

# ANCHOR: routines
        .code16
        .globl  bios_interrupt10, bios_interrupt15, bios_read_chunk

# bios_interrupt10 - INT 10h, the screen
bios_interrupt10:
        int     $0x10
        ret

# bios_interrupt15 - INT 15h, system services
bios_interrupt15:
        int     $0x15
        ret

# bios_read_chunk - disk_read to CHUNK_BASE
#
# In:        EAX first sector; CX count, 1..127; DL drive
# Out:       CF  0 = done, 1 = failed
bios_read_chunk:
        mov     $CHUNK_BASE >> 4, %bx
        mov     %bx, %es
        xor     %bx, %bx
        jmp     disk_read
# ANCHOR_END: routines

# ANCHOR: real_mode_idt
real_mode_idt:                          # the interrupt vector table
        .word   0x3ff
        .long   0
# ANCHOR_END: real_mode_idt
