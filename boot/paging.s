# paging.s - the page tables that the kernel starts with
#
# Mode:      64-bit long mode
# Called by: handover.s, through hop
# Provides:  paging_build, page_zeroed, page_root
# Read also: docs/protocol.md: who is mapped where, with which rights
#
# A virtual page number is an address / 4096. It has four indexes of nine
# bits, one a level; its bits above them do not matter.

        .include "layout.inc"
        .include "cpu.inc"
        .include "elf.inc"

        # Where a level's index stands in a virtual page number, and so how
        # many small pages, as a power of two, an entry of it is worth.
        .set    LEVEL_4,     27
        .set    LEVEL_3,     18         # a page here has 1 GiB,
        .set    LEVEL_2,     9          # here 2 MiB,
        .set    LEVEL_1,     0          # here 4 KiB
        .set    INDEX_MASK,  0x1ff
        .set    FRAMES_1G,   1 << LEVEL_3
        .set    FRAMES_2M,   1 << LEVEL_2
        .set    FRAMES_4G,   FOUR_GIB / PAGE_BYTES

        .section .stage2, "ax"
        .code64

# paging_build - build all of them
#
# Out:       page_root
# Clobbers:  all
# ANCHOR: paging
        .globl  paging_build
paging_build:
        mov     cpu_features, %eax      # bit 20 there is bit 63 in an entry
        and     $CPUID_NX, %eax
        shl     $63 - 20, %rax
        mov     %rax, no_execute
        call    page_zeroed
        mov     %eax, page_root
        xor     %ebp, %ebp              # LEVEL_1
        mov     $PF_W, %esi

        # The low MiB, where the screen is: each page at its own address.
        # Page 0 is left out, so a null pointer faults.
        mov     $1, %eax
        mov     $1, %ebx
        mov     $ONE_MIB / PAGE_BYTES - 1, %ecx
        call    page_map
        mov     $SWITCH_PAGE, %eax      # this page is running when its
        mov     %eax, %ebx              # tables come on
        mov     $1, %ecx
        mov     $PF_X, %esi
        call    page_map

        # The boot info and the stack, with a hole between them that catches
        # a stack that grew too large.
        mov     $PF_W, %esi
        mov     info_address, %rax
        shr     $12, %rax
        mov     info_frame, %ebx
        call    page_map
        mov     stack_guard, %rax
        shr     $12, %rax
        inc     %rax
        mov     stack_frame, %ebx
        mov     stack_pages, %ecx
        call    page_map

        # Physical memory: 4 GiB whole, with small pages where the first
        # 2 MiB hold memory of different kinds.
        mov     physical_offset, %rax
        shr     $12, %rax
        xor     %ebx, %ebx
        mov     $FRAMES_2M, %ecx
        call    page_map
        add     $FRAMES_2M, %rax
        mov     $FRAMES_2M, %ebx
        mov     $FRAMES_4G / FRAMES_2M - 1, %ecx
        mov     $LEVEL_2, %ebp
        call    page_map
        call    .Lhigh

        mov     $.Lsegment, %ebp
        jmp     each_segment
# ANCHOR_END: paging

# A segment of the kernel: its first page has the rights of all who share it.
.Lsegment:
        push    %rbp
        push    %rbx
        mov     %rbx, %rdi
        mov     P_VADDR(%rdi), %rax
        mov     %eax, %edx
        and     $PAGE_BYTES - 1, %edx
        add     P_MEMSZ(%rdi), %edx
        dec     %edx
        shr     $12, %edx               # EDX = pages behind the first
        shr     $12, %rax
        mov     P_PADDR(%rdi), %rbx
        shr     $12, %rbx
        xor     %ebp, %ebp              # LEVEL_1
        mov     $1, %ecx
        mov     P_RIGHTS(%rdi), %esi
        call    page_map
        inc     %rax
        inc     %ebx
        mov     %edx, %ecx
        mov     P_FLAGS(%rdi), %esi
        call    page_map
        pop     %rbx
        pop     %rbp
        clc
        ret

# The memory above 4 GiB: pages of 1 GiB where the CPU has them, the address
# allows it and usable memory fills them, else of 2 MiB.
.Lhigh: mov     $MAP_BASE, %edi
.Lregion:
        cmp     map_end, %edi
        je      .Lret
        mov     %edi, %esi
        call    is_ram
        jne     .Lnext
        mov     (%rdi), %ebx            # EBX = next frame to map
        and     $~(FRAMES_2M - 1), %ebx
        mov     $FRAMES_4G, %eax
        cmp     %eax, %ebx
        cmovb   %eax, %ebx
.Lpiece:cmp     4(%rdi), %ebx
        jae     .Lnext
        mov     %ebx, %edx
        or      $FRAMES_1G - 1, %edx    # EDX = the last frame of this GiB
        cmp     4(%rdi), %edx
        jae     .Lends
        inc     %edx                    # and where the next one begins
        cmpl    $KIND_USABLE, 8(%rdi)
        jne     .Lsmall
        testl   $CPUID_PAGE_1G, cpu_features
        jz      .Lsmall
        mov     physical_offset, %rax
        shr     $12, %rax
        or      %ebx, %eax
        test    $FRAMES_1G - 1, %eax
        jnz     .Lsmall
        mov     $1, %ecx
        mov     $LEVEL_3, %ebp
        jmp     .Lmap
.Lends: mov     4(%rdi), %edx
.Lsmall:lea     FRAMES_2M - 1(%rdx), %ecx
        sub     %ebx, %ecx
        shr     $LEVEL_2, %ecx
        mov     $LEVEL_2, %ebp
.Lmap:  mov     physical_offset, %rax
        shr     $12, %rax
        add     %rbx, %rax
        mov     $PF_W, %esi
        call    page_map
        mov     %edx, %ebx
        jmp     .Lpiece
.Lnext: add     $REGION_BYTES, %edi
        jmp     .Lregion
.Lret:  ret

# page_map - map consecutive pages to consecutive frames
#
# In:        RAX first virtual page; RBX first frame; ECX how many; EBP how
#            large, LEVEL_1 to LEVEL_3; ESI PF_W, PF_X: the rights
# Clobbers:  flags, R8-R11
# ANCHOR: page_map
page_map:
        push    %rax
        push    %rcx
        push    %rdx
        push    %rdi
        mov     %rax, %r8               # R8 = next page
        mov     %ecx, %r9d              # R9 = pages left
        mov     %rbx, %rax              # RAX = next entry
        shl     $12, %rax
        or      $PTE_P, %rax
        test    $PF_W, %esi
        jz      .Lread_only
        or      $PTE_W, %rax
.Lread_only:
        test    $PF_X, %esi
        jnz     .Lcode
        or      no_execute, %rax
.Lcode: test    %ebp, %ebp
        jz      .Ltable
        or      $PTE_PS, %rax

.Ltable:test    %r9d, %r9d
        jz      .Lmapped
        mov     page_root, %edi
        mov     $LEVEL_4, %ecx
.Llevel:mov     %r8, %rdx
        shr     %cl, %rdx
        and     $INDEX_MASK, %edx
        lea     (%rdi, %rdx, 8), %rdi
        cmp     %ebp, %ecx
        je      .Lentries
        testb   $PTE_P, (%rdi)
        jnz     .Lthere
        mov     %rax, %r10
        call    page_zeroed
        or      $PTE_P + PTE_W, %eax    # what is below has the rights
        mov     %rax, (%rdi)
        mov     %r10, %rax
.Lthere:mov     (%rdi), %rdi
        and     $~(PAGE_BYTES - 1), %rdi
        sub     $LEVEL_2 - LEVEL_1, %ecx
        jmp     .Llevel

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
        mov     %r10d, %ecx
.Lentry:stosq
        add     %rdx, %rax
        loop    .Lentry
        jmp     .Ltable
.Lmapped:
        pop     %rdi
        pop     %rdx
        pop     %rcx
        pop     %rax
        ret
# ANCHOR_END: page_map

# page_zeroed - take our next frame, all zero
#
# Out:       RAX = its address
# Clobbers:  R11
        .globl  page_zeroed
page_zeroed:
        push    %rdi
        push    %rcx
        mov     frame_next, %edi
        incl    frame_next
        shl     $12, %rdi
        mov     %rdi, %r11
        xor     %eax, %eax
        mov     $PAGE_BYTES / 8, %ecx
        rep stosq
        mov     %r11, %rax
        pop     %rcx
        pop     %rdi
        ret

        .bss
        .balign 8
        .globl  page_root
no_execute:                             # bit 63 where the CPU has NX, else 0
        .skip   8
page_root:                              # address of the level-4 table
        .skip   4
