# paging.s - map pages to frames
#
# Mode:      64-bit long mode
# Called by: allocate.s (identity_grow), address_space.s
# Provides:  page_map, page_zeroed, page_root; identity_grow
# Next:      kernel.s (kernel_load), then address_space.s

# ANCHOR: uses
        .include "layout.inc"
        .include "cpu.inc"
        .include "elf.inc"
        .include "paging.inc"

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# identity_grow - map more physical memory to itself, for the loader alone
#
# In:        EAX = end frame of what is wanted, 4 GiB at most
# Clobbers:  RAX, RBX, RCX, RDX, RBP, RSI, RDI, R8-R11
# ANCHOR: identity_grow
        .globl  identity_grow
identity_grow:
        lea     FRAMES_2M - 1(%rax), %ecx
        shr     $LEVEL_PD, %ecx         # pages of 2 MiB
        mov     frame_next, %edx        # page_zeroed takes frames from there:
        mov     identity_next, %eax     # lend it ours, then put the kernel's back
        mov     %eax, frame_next
        xor     %eax, %eax
        xor     %ebx, %ebx
        mov     $LEVEL_PD, %ebp
        mov     $PF_W | PF_X, %esi
        call    page_map
        mov     frame_next, %eax
        mov     %eax, identity_next
        mov     %edx, frame_next
        ret
# ANCHOR_END: identity_grow

# page_map - map consecutive pages to consecutive frames
#
# In:        RAX first virtual page; RBX first frame; ECX how many; EBP how
#            large, LEVEL_PT, LEVEL_PD or LEVEL_PDPT; ESI PF_W, PF_X: rights
# Clobbers:  flags, R8-R11
# ANCHOR: page_map
# ANCHOR: page_rights
        .globl  page_map
page_map:
        push    %rax
        push    %rcx
        push    %rdx
        push    %rdi
        mov     %rax, %r8               # R8 = next page
        mov     %ecx, %r9d              # R9 = pages left
        mov     %rbx, %rax              # RAX = next entry
        shl     $PAGE_SHIFT, %rax
        or      $PTE_P, %rax
        test    $PF_W, %esi
        jz      .Lread_only
        or      $PTE_RW, %rax
.Lread_only:
        test    $PF_X, %esi
        jnz     .Lcode
        testl   $CPUID_NX, cpu_features
        jz      .Lcode
        bts     $PTE_XD_BIT, %rax
.Lcode: test    %ebp, %ebp
        jz      .Ltable
        or      $PTE_PS, %rax
# ANCHOR_END: page_rights

# ANCHOR: walk
.Ltable:test    %r9d, %r9d
        jnz     .Lwalk
        pop     %rdi
        pop     %rdx
        pop     %rcx
        pop     %rax
        ret
.Lwalk: mov     page_root, %edi
        mov     $LEVEL_PML4, %ecx
.Llevel:mov     %r8, %rdx
        shr     %cl, %rdx
        and     $INDEX_MASK, %edx
        lea     (%rdi, %rdx, ENTRY_BYTES), %rdi
        cmp     %ebp, %ecx
        je      .Lentries
        testb   $PTE_P, (%rdi)
        jnz     .Lthere
        mov     %rax, %r10
        call    page_zeroed
        or      $PTE_P + PTE_RW, %eax   # the last level has the rights
        mov     %rax, (%rdi)
        mov     %r10, %rax
.Lthere:mov     (%rdi), %rdi
        and     $~(PAGE_BYTES - 1), %rdi
        sub     $LEVEL_BITS, %ecx
        jmp     .Llevel
# ANCHOR_END: walk

# ANCHOR: entries
.Lentries:                              # from here to the table's end
        mov     $INDEX_MASK + 1, %r10d
        sub     %edx, %r10d
        cmp     %r9d, %r10d
        cmova   %r9d, %r10d
        sub     %r10d, %r9d
        mov     %r10, %r11
        shl     %cl, %r11
        add     %r11, %r8
        mov     $PAGE_BYTES, %edx       # RDX = from entry to entry
        shl     %cl, %rdx
        lea     1(%r10), %ecx
        shr     $1, %ecx                # two entries a turn; if their number is
        test    $1, %r10b               # odd, the first turn has one
        jnz     .Lodd
.Leven: stosq
        add     %rdx, %rax
.Lodd:  stosq
        add     %rdx, %rax
        loop    .Leven
        jmp     .Ltable
# ANCHOR_END: entries
# ANCHOR_END: page_map

# page_zeroed - take the next frame, all zero
#
# Out:       RAX = its address
# Clobbers:  R11
# ANCHOR: page_zeroed
        .globl  page_zeroed
page_zeroed:
        push    %rdi
        push    %rcx
        mov     frame_next, %edi
        incl    frame_next
        shl     $PAGE_SHIFT, %rdi
        mov     %rdi, %r11
        xor     %eax, %eax
        mov     $PAGE_BYTES / 8, %ecx
        rep stosq
        mov     %r11, %rax
        pop     %rcx
        pop     %rdi
        ret
# ANCHOR_END: page_zeroed

# ANCHOR: variables
        .globl  page_root
page_root:                              # address of the PML4 that page_map fills:
        .long   IDENTITY_PML4           # the loader's, then the kernel's
identity_next:                          # next frame for the loader's own tables
        .long   IDENTITY_MORE >> PAGE_SHIFT
# ANCHOR_END: variables
