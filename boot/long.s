# long.s - from protected mode to long mode
#
# Mode:      32-bit protected mode, then 64-bit long mode
# Called by: stage2.s; bios.s on the way back from each BIOS call
# Provides:  identity_map, enter_long
# Next:      console.s
#
# Long mode always has paging on: each address goes through page tables of four
# levels, whose 512 entries each point to a table of the next level, or to a
# page: PML4, page-directory-pointer table (PDPT), page directory (PD), page
# table. An entry of a PD can be a page of 2 MiB itself.

# ANCHOR: uses
        .include "layout.inc"
        .include "cpu.inc"

        .section .stage2, "ax"
        .code32
# ANCHOR_END: uses

# identity_map - make the smallest page tables that long mode can begin with
#
# Clobbers:  EAX, ECX, EDI
#
# One entry per level: the first 2 MiB are mapped to themselves, so the code that
# switches paging on goes on at the same address. allocate.s maps more later
# (identity_grow), and the kernel never sees these tables.
# ANCHOR: identity
        .globl  identity_map
identity_map:
        mov     $IDENTITY_PML4, %edi
        xor     %eax, %eax
        mov     $3 * PAGE_BYTES / 4, %ecx
        rep stosl
        movl    $IDENTITY_PDPT + PTE_P + PTE_RW, IDENTITY_PML4
        movl    $IDENTITY_PD + PTE_P + PTE_RW, IDENTITY_PDPT
        movl    $PTE_P + PTE_RW + PTE_PS, IDENTITY_PD
        ret
# ANCHOR_END: identity

# enter_long - protected mode to long mode; returns as 64-bit code
#
# Out:       IDTR with limit 0, as there are no handlers: an exception resets
#            the PC at once instead of jumping to a random address
# Clobbers:  RAX, RCX, RDX, RDI
# Needs:     the page tables of identity_map
#
# The order is the manual's (Intel SDM volume 3A, "Initializing IA-32e Mode"):
# page tables, PAE, LME, then PG.
# ANCHOR: long
        .globl  enter_long
enter_long:
        mov     $IDENTITY_PML4, %eax
        mov     %eax, %cr3
        mov     %cr4, %eax
        or      $CR4_PAE, %eax          # entries of 64 bits, and four levels,
        and     $~CR4_LA57, %eax        # whatever UEFI used before its CSM ran
        mov     %eax, %cr4
        mov     $MSR_EFER, %ecx
        xor     %edx, %edx
        mov     $EFER_LME, %eax         # paging will mean long mode
        testl   $CPUID_NX, cpu_features
        jz      .Lno_nx
        or      $EFER_NXE, %eax
.Lno_nx:wrmsr
        pop     %edi                    # the return address, 32 bits
        mov     %cr0, %eax
        or      $CR0_PG | CR0_WP, %eax
        mov     %eax, %cr0              # long mode, still running 32-bit code
        ljmp    $SELECTOR_CODE64, $.Llong
        .code64
.Llong: mov     %esp, %esp              # zero-extends: the upper halves are
        mov     %edi, %edi              # undefined here
        lidt    no_idt
        jmp     *%rdi
# ANCHOR_END: long

# ANCHOR: no_idt
no_idt: .word   0                       # limit
        .quad   0                       # base
# ANCHOR_END: no_idt
