# address_space.s - the page tables that the kernel starts with
#
# Mode:      64-bit long mode
# Called by: stage2.s
# Provides:  address_space; is_ram
# Next:      boot_info.s; docs/protocol.md says what is mapped where

# ANCHOR: uses
        .include "layout.inc"
        .include "cpu.inc"
        .include "elf.inc"
        .include "paging.inc"

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# address_space - build the kernel's page tables
#
# Out:       page_root = address of the kernel's PML4
# Clobbers:  all
# ANCHOR: address_space
# ANCHOR: low
        .globl  address_space
address_space:
        mov     $PF_W, %r12d            # R12D = rights of what is not the kernel's
        testb   $FEATURE_CRATE, features
        jz      .Lroot
        mov     $PF_W | PF_X, %r12d     # kernels of that crate may execute it, and
        mov     $CRATE_TABLES >> PAGE_SHIFT, %eax       # may read the first page
        xchg    %eax, frame_next        # tables at their own addresses, so those
        mov     %eax, %r13d             # are in low memory
.Lroot: call    page_zeroed
        mov     %eax, page_root
        xor     %ebp, %ebp              # LEVEL_PT
        mov     %r12d, %esi
# ANCHOR_END: low

        # The first MiB, where the screen is: each page at its own address.
        # Page 0 is left out, so a null pointer faults.
# ANCHOR: first_mib
        mov     $1, %eax
        mov     $1, %ebx
        mov     $FRAMES_1M - 1, %ecx
        testb   $FEATURE_CRATE, features
        jz      .Llow
        mov     $CRATE_LOW_END / PAGE_BYTES - 1, %ecx   # two parts of it: the
        call    page_map                # kernel may map the others itself
        mov     $SCREEN_BASE / PAGE_BYTES, %eax
        mov     %eax, %ebx
        mov     $(SCREEN_END - SCREEN_BASE) / PAGE_BYTES, %ecx
        mov     %r13d, frame_next       # it needs no more tables
.Llow:  call    page_map
        mov     $SWITCH_PAGE, %eax      # start_kernel.s runs in this page when
        mov     %eax, %ebx              # these tables come on
        mov     $1, %ecx
        mov     $PF_X, %esi
        call    page_map
# ANCHOR_END: first_mib

        # The boot info and the stack. The page between them is not mapped: a
        # stack that grew too large faults there.
# ANCHOR: info_stack
        mov     %r12d, %esi
        mov     info_address, %rax
        shr     $PAGE_SHIFT, %rax
        mov     info_frame, %ebx
        call    page_map
        mov     stack_guard, %rax
        shr     $PAGE_SHIFT, %rax
        inc     %rax
        mov     stack_frame, %ebx
        mov     stack_pages, %ecx
        call    page_map
# ANCHOR_END: info_stack

        # Physical memory: the first 4 GiB completely. The first 2 MiB, which hold
        # memory of different kinds, in pages of 4 KiB, the rest in pages of 2 MiB.
# ANCHOR: physical
        testb   $FEATURE_PHYSICAL, features
        jz      .Lkernel
        mov     physical_offset, %rax
        shr     $PAGE_SHIFT, %rax
        xor     %ebx, %ebx
        mov     $FRAMES_2M, %ecx
        call    page_map
        add     $FRAMES_2M, %rax
        mov     $FRAMES_2M, %ebx
        mov     $FRAMES_4G / FRAMES_2M - 1, %ecx
        mov     $LEVEL_PD, %ebp
        call    page_map
        call    .Lhigh
# ANCHOR_END: physical

# ANCHOR: recursive
.Lkernel:
        mov     $.Lsegment, %ebp
        call    each_segment

        # The PML4 as a table of every level: its own entry points to it.
        mov     recursive_address, %rdi
        shr     $PAGE_SHIFT, %rdi
        and     $INDEX_MASK, %edi
        jz      .Lret
        mov     page_root, %eax
        lea     (%rax, %rdi, ENTRY_BYTES), %edi
        cmpl    $0, (%rdi)
        jne     header_bad              # the entry is something else's
        or      $PTE_P | PTE_RW, %al
        mov     %rax, (%rdi)
        ret
# ANCHOR_END: recursive
# ANCHOR_END: address_space

# A segment of the kernel: its first page has the rights of all who share it.
# ANCHOR: segment
.Lsegment:
        push    %rbp
        push    %rbx
        mov     %rbx, %rdi
        mov     P_VADDR(%rdi), %rax
        mov     %eax, %edx
        and     $PAGE_BYTES - 1, %edx
        add     P_MEMSZ(%rdi), %edx
        dec     %edx
        shr     $PAGE_SHIFT, %edx       # EDX = pages after the first
        shr     $PAGE_SHIFT, %rax
        mov     P_PADDR(%rdi), %rbx
        shr     $PAGE_SHIFT, %rbx
        xor     %ebp, %ebp              # LEVEL_PT
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
# ANCHOR_END: segment

# The memory above 4 GiB: pages of 1 GiB where the CPU has them, the address
# allows it and usable memory fills them, else of 2 MiB.
# ANCHOR: high
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
# ANCHOR_END: high
# ANCHOR: high_part
.Lpart: cmp     REGION_END(%rdi), %ebx
        jae     .Lnext
        mov     %ebx, %edx
        or      $FRAMES_1G - 1, %edx    # EDX = the last frame of this GiB
        cmp     REGION_END(%rdi), %edx
        jae     .Lends
        inc     %edx                    # and where the next one begins
        cmpl    $KIND_USABLE, REGION_KIND(%rdi)
        jne     .Lsmall
        testl   $CPUID_PAGE_1G, cpu_features
        jz      .Lsmall
        mov     physical_offset, %rax
        shr     $PAGE_SHIFT, %rax
        or      %ebx, %eax
        test    $FRAMES_1G - 1, %eax
        jnz     .Lsmall
        mov     $1, %ecx
        mov     $LEVEL_PDPT, %ebp
        jmp     .Lmap
# ANCHOR_END: high_part
# ANCHOR: high_map
.Lends: mov     REGION_END(%rdi), %edx
.Lsmall:lea     FRAMES_2M - 1(%rdx), %ecx
        sub     %ebx, %ecx
        shr     $LEVEL_PD, %ecx
        mov     $LEVEL_PD, %ebp
.Lmap:  mov     physical_offset, %rax
        shr     $PAGE_SHIFT, %rax
        add     %rbx, %rax
        mov     %r12d, %esi
        call    page_map
        mov     %edx, %ebx
        jmp     .Lpart
.Lnext: add     $REGION_BYTES, %edi
        jmp     .Lregion
.Lret:  ret
# ANCHOR_END: high_map

# is_ram - should the kernel be able to reach this region above 4 GiB?
#
# In:        RSI = region in the map
# Out:       ZF  1 = usable memory, ACPI tables or ACPI NVS
# Clobbers:  EAX
# ANCHOR: is_ram
        .globl  is_ram
is_ram: mov     REGION_KIND(%rsi), %eax
        cmp     $KIND_USABLE, %eax
        je      .Lram
        cmp     $KIND_ACPI, %eax
        je      .Lram
        cmp     $KIND_NVS, %eax
.Lram:  ret
# ANCHOR_END: is_ram
