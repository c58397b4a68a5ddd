# long.s - protected mode to long mode, and into the kernel
#
# Mode:      32-bit protected mode, then 64-bit long mode
# Called by: hop.s for a while, handover.s for good
# Provides:  long, long_enter, the descriptor table
# Read also: the kernel's src/main.rs, which runs next
#
# All of this file lies in one page (boot.ld asserts it). The kernel's page
# tables map that page where it is, to read and to execute; it stays in use,
# for the descriptors and for the halt loop of a kernel that returns.

        .include "layout.inc"
        .include "cpu.inc"
        .include "elf.inc"

        .section .switch, "ax"

# The descriptors, each under a ruler that names its bits. A, accessed, is set
# in all of them, so that the CPU never writes to this page. Selectors are
# computed from the table; the kernel's protocol knows the first two.
        .globl  gdt, gdt_pointer, SELECTOR_DATA, SELECTOR_CODE32
        .globl  SELECTOR_CODE16, SELECTOR_DATA16

        .balign 8
gdt:    .quad   0                       # the null descriptor

#               limit   G,D,L,AVL      limit        P,DPL,S,type
#               15-0                   19-16        (E,DC,RW,A)
        .set    SELECTOR_CODE64, . - gdt
        .long   0xffff, 0b1010 << 20 | 0xf << 16 | 0b10011011 << 8
        .set    SELECTOR_DATA, . - gdt
        .long   0xffff, 0b1100 << 20 | 0xf << 16 | 0b10010011 << 8
        .set    SELECTOR_CODE32, . - gdt
        .long   0xffff, 0b1100 << 20 | 0xf << 16 | 0b10011011 << 8
        .set    SELECTOR_CODE16, . - gdt        # 64 KiB, as real mode has them
        .long   0xffff, 0b0000 << 20 | 0x0 << 16 | 0b10011011 << 8
        .set    SELECTOR_DATA16, . - gdt
        .long   0xffff, 0b0000 << 20 | 0x0 << 16 | 0b10010011 << 8
gdt_end:
gdt_pointer:
        .word   gdt_end - gdt - 1
        .long   gdt

# long - protected mode to long mode; returns as 64-bit code
#
# In:        EAX = address of the level-4 table; it maps us where we are
# Clobbers:  RAX, RCX, RDX
# ANCHOR: long
        .globl  long
        .code32
long:   mov     %eax, %cr3
        mov     $CR4_PAE, %eax
        mov     %eax, %cr4
        mov     $MSR_EFER, %ecx
        rdmsr
        or      $EFER_LME, %eax
        testl   $CPUID_NX, cpu_features
        jz      .Lno_nx
        or      $EFER_NXE, %eax
.Lno_nx:wrmsr
        pop     %edx                    # a 32-bit address to return to
        mov     %cr0, %eax
        or      $CR0_PG | CR0_WP, %eax
        mov     %eax, %cr0              # paging on: compatibility mode
        ljmp    $SELECTOR_CODE64, $.Llong
        .code64
.Llong: mov     %esp, %esp              # the high halves are undefined
        mov     %ebx, %ebx
        mov     %edx, %edx
        jmp     *%rdx
# ANCHOR_END: long

# long_enter - start the kernel; nothing comes back
#
# In:        real mode, everything prepared
# ANCHOR: enter
        .code16
        .globl  long_enter
long_enter:
        call    protect
        .code32
        mov     page_root, %eax
        call    long
        .code64
        mov     %cr0, %rax
        and     $CR0_ET | CR0_NE, %eax  # as found
        or      $CR0_PE | CR0_WP | CR0_PG, %eax
        mov     %rax, %cr0

        xor     %eax, %eax
        mov     %eax, %ds               # no selector of ours outlives its
        mov     %eax, %es               # table
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        lldt    %ax
        xor     %edx, %edx
        mov     $MSR_FS_BASE, %ecx
        wrmsr
        inc     %ecx                    # MSR_GS_BASE
        wrmsr
        inc     %ecx                    # MSR_KERNEL_GS
        wrmsr
        lidt    no_idt                  # until the kernel has one of its own
        out     %al, $PORT_CMOS         # NMIs may come again
        in      $PORT_CMOS_DATA, %al

        mov     info_address, %rdi      # RDI = boot info
        mov     stack_guard + 8, %rsp   # the stack's last byte,
        inc     %rsp                    # and behind it
        push    $kernel_returned
        push    $2                      # the bit that is always 1
        popf
        jmp     *ELF_BASE + E_ENTRY

kernel_returned:
        cli
        hlt
        jmp     kernel_returned
# ANCHOR_END: enter

no_idt: .word   0
        .quad   0
        .globl  switch_end
switch_end:
