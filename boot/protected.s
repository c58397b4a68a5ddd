# protected.s - from real mode to protected mode; the descriptors of all modes
#
# Mode:      16-bit real mode, then 32-bit protected mode
# Called by: stage2.s; bios.s on the way back from each BIOS call
# Provides:  enter_protected; SELECTOR_CODE64, SELECTOR_CODE16, SELECTOR_DATA16,
#            gdt (the linker script)
# Next:      long.s
#
# In real mode a segment register holds an address / 16. In protected mode it
# holds a selector: the offset of a descriptor in the global descriptor table
# (GDT), which has the segment's base, limit and kind. Ours all begin at 0.

# ANCHOR: uses
        .include "layout.inc"
        .include "cpu.inc"
        .include "pc.inc"
# ANCHOR_END: uses

# The table lies in the page that stays mapped when the kernel's page tables
# come on (boot.ld): its selector 0x08 is the kernel's first CS. The accessed
# bit is set in all of them, so the CPU never writes to this page.
# ANCHOR: gdt_section
        .section .switch, "ax"
        .globl  gdt, SELECTOR_CODE64, SELECTOR_CODE16, SELECTOR_DATA16
        .balign 8
# ANCHOR_END: gdt_section
# ANCHOR: gdt
gdt:    .quad   0                       # the null descriptor
        .set    SELECTOR_CODE64, . - gdt
        .long   DESC_LIMIT_LOW, DESC_G | DESC_L | DESC_LIMIT | DESC_P | DESC_S | DESC_CODE
        .set    SELECTOR_DATA, . - gdt  # 4 GiB
        .long   DESC_LIMIT_LOW, DESC_G | DESC_D | DESC_LIMIT | DESC_P | DESC_S | DESC_DATA
        .set    SELECTOR_CODE32, . - gdt
        .long   DESC_LIMIT_LOW, DESC_G | DESC_D | DESC_LIMIT | DESC_P | DESC_S | DESC_CODE
        .set    SELECTOR_CODE16, . - gdt        # 64 KiB, as in real mode
        .long   DESC_LIMIT_LOW, DESC_P | DESC_S | DESC_CODE
        .set    SELECTOR_DATA16, . - gdt
        .long   DESC_LIMIT_LOW, DESC_P | DESC_S | DESC_DATA
gdt_end:
# ANCHOR_END: gdt

# ANCHOR: gdt_pointer
        .section .stage2, "ax"
gdt_pointer:
        .word   gdt_end - gdt - 1       # its limit: the last byte
        .long   gdt
# ANCHOR_END: gdt_pointer

# enter_protected - real mode to protected mode; returns as 32-bit code
#
# Out:       all segments with base 0 and limit 4 GiB; IF = DF = 0; NMI masked
# Clobbers:  EAX, EDI
# Needs:     CS = DS = SS = 0
# ANCHOR: protected
        .code16
        .globl  enter_protected
enter_protected:
        cli                             # no interrupts from here on: there are no
        cld                             # handlers. And no NMIs, which CLI does
        mov     $CMOS_NMI_MASK | CMOS_STATUS_D, %al     # not mask
        out     %al, $PORT_CMOS
        in      $PORT_CMOS_DATA, %al    # the chip expects a read after it
        pop     %di                     # the return address, 16 bits
        movzwl  %di, %edi
        movzwl  %sp, %esp               # the upper half may hold anything
        lgdtl   gdt_pointer             # each time: a BIOS call may change it
        mov     %cr0, %eax
        or      $CR0_PE, %al
        mov     %eax, %cr0
        ljmp    $SELECTOR_CODE32, $.Lprotected  # loads CS: 32-bit code now
        .code32
.Lprotected:
        mov     $SELECTOR_DATA, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        jmp     *%edi
# ANCHOR_END: protected
