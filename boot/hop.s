# hop.s - from real mode to long mode and back, for one routine at a time
#
# Mode:      16-bit real mode, 32-bit protected mode, 64-bit long mode, back
# Called by: kernel.s and handover.s
# Provides:  hop_prepare, hop
# Read also: long.s, which holds the descriptors and goes there for good
#
# Disk reads need the BIOS, so real mode. Memory above 1 MiB needs more than
# its 20 address bits. So every run of sectors is read here, and copied and
# proved there. Nothing of the other mode is left behind when we come back (a
# trick like "unreal mode" ends with whatever a BIOS call does to segments).

        .include "layout.inc"
        .include "cpu.inc"

        .section .stage2, "ax"
        .code16

# hop_prepare - make the page tables for the time of a hop
#
# Every address is mapped to itself: the first 2 MiB here, as much as wanted
# later (identity_grow). The kernel never sees these tables.
#
# Clobbers:  EAX, CX, DI
        .globl  hop_prepare
hop_prepare:
        mov     $IDENTITY_BASE >> 4, %ax
        mov     %ax, %es
        xor     %di, %di
        xor     %eax, %eax
        mov     $3 * PAGE_BYTES / 4, %cx
        rep stosl
        movl    $IDENTITY_PDPT + PTE_P + PTE_W, %es:0
        movl    $IDENTITY_PD + PTE_P + PTE_W, %es:IDENTITY_PDPT - IDENTITY_BASE
        movl    $PTE_P + PTE_W + PTE_PS, %es:IDENTITY_PD - IDENTITY_BASE
        mov     %ax, %es
        ret

# hop - run a 64-bit routine
#
# In:        BX = the routine
# Out:       EAX = what it returns
# Clobbers:  all
# ANCHOR: hop
        .globl  hop
hop:    mov     %cr0, %eax
        mov     %eax, bios_cr0
        mov     %cr4, %eax
        mov     %eax, bios_cr4
        call    protect
        .code32
        mov     $IDENTITY_BASE, %eax
        call    long
        .code64
        call    *%rbx

        xchg    %eax, %esi              # ESI = what it returned
        pushq   $SELECTOR_CODE16
        pushq   $.Lback
        lretq
        .code16
.Lback: mov     $SELECTOR_DATA16, %dx   # real mode keeps the limits: 64 KiB
        call    .Lsegments
        mov     %cr0, %eax
        and     $~CR0_PG, %eax          # paging off, and long mode with it
        mov     %eax, %cr0
        mov     $MSR_EFER, %ecx
        rdmsr
        and     $~EFER_LME, %eax
        wrmsr
        mov     bios_cr4, %eax
        mov     %eax, %cr4
        mov     bios_cr0, %eax
        mov     %eax, %cr0              # protection off
        ljmp    $0, $.Lreal
.Lreal: xor     %dx, %dx
        call    .Lsegments
        xor     %al, %al
        out     %al, $PORT_CMOS         # NMIs may come again
        in      $PORT_CMOS_DATA, %al
        xchg    %eax, %esi
        sti
        ret
# ANCHOR_END: hop

# In short: all data segments = DX
.Lsegments:
        mov     %dx, %ds
        mov     %dx, %es
        mov     %dx, %fs
        mov     %dx, %gs
        mov     %dx, %ss
        ret

# protect - real mode to protected mode; returns as 32-bit code
#
# Clobbers:  EAX, EDX
# ANCHOR: protect
        .globl  protect
protect:
        cli
        cld                             # whatever a BIOS call has left
        mov     $CMOS_NMI_MASK, %al     # nobody could take an NMI now
        out     %al, $PORT_CMOS
        in      $PORT_CMOS_DATA, %al    # the chip wants a read after it
        pop     %dx                     # a 16-bit address to return to
        movzx   %dx, %edx
        movzx   %bx, %ebx               # high halves may hold anything
        movzwl  %sp, %esp
        lgdtl   gdt_pointer             # again: a BIOS call may change it
        mov     %cr0, %eax
        or      $CR0_PE, %eax
        mov     %eax, %cr0
        ljmp    $SELECTOR_CODE32, $.Lflat
        .code32
.Lflat: mov     $SELECTOR_DATA, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        jmp     *%edx
# ANCHOR_END: protect

# identity_grow - map more memory for the time of a hop
#
# In:        EAX = the frame behind the last one that is wanted
# Clobbers:  RAX, RCX, RDX, RDI
        .code64
        .globl  identity_grow
identity_grow:
        mov     $1, %ecx                # ECX = page of 2 MiB; 0 is mapped
.Lpage: mov     %ecx, %edx
        shl     $9, %edx                # its first frame
        cmp     %eax, %edx
        jae     .Lgrown
        test    $511, %ecx
        jnz     .Ltable
        push    %rax
        push    %rcx
        shl     $3, %ecx
        lea     IDENTITY_PD(%rcx), %edi # the next level-2 table
        shr     $9, %ecx
        testb   $PTE_P, IDENTITY_PDPT(%rcx)
        jnz     .Lhave                  # there, and in use
        lea     PTE_P + PTE_W(%rdi), %edx
        mov     %edx, IDENTITY_PDPT(%rcx)
        xor     %eax, %eax
        mov     $PAGE_BYTES / 8, %ecx
        rep stosq
.Lhave: pop     %rcx
        pop     %rax
.Ltable:mov     %ecx, %edx
        shl     $21, %edx
        add     $PTE_P + PTE_W + PTE_PS, %edx
        mov     %rdx, IDENTITY_PD(, %rcx, 8)
        inc     %ecx
        jmp     .Lpage
.Lgrown:ret

        .bss
        .balign 4
bios_cr0:
        .skip   4
bios_cr4:
        .skip   4
