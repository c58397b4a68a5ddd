# allocate.s - where in memory do the kernel and everything it gets go?
#
# Mode:      64-bit long mode
# Called by: stage2.s
# Provides:  allocate, frame_next, stack_frame, info_frame
# Next:      map.s, the memory map that it asks; paging.s, for identity_grow

# ANCHOR: uses
        .include "layout.inc"
        .include "elf.inc"
        .include "paging.inc"

        # Page tables that every kernel needs: the PML4; a PDPT, a PD and a page
        # table each for the first MiB and the boot info; two PDPTs, five PDs and a
        # page table for the first 4 GiB of physical memory, which may begin
        # anywhere in a table.
        .set    TABLES_FIXED, 1 + 3 + 3 + 8

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# allocate - find memory for the segments, boot modules, stack, boot info and
#            page tables, or stop
#
# Out:       P_PADDR of every segment and module = its place; stack_frame,
#            info_frame; frame_next = first frame for the page tables. All of it
#            is mapped to itself, for us to write to
# Clobbers:  all
# ANCHOR: allocate
# ANCHOR: place
        .globl  allocate
allocate:
        call    map_make
        testb   $FEATURE_CRATE, features        # that crate does not heed physical
        jnz     .Lblock                 # addresses
        mov     $.Lfree_as_linked, %ebp
        call    each_segment
        jnc     .Lplaced
.Lblock:call    .Lplace_as_block
.Lplaced:
        mov     $.Ltake, %ebp
        movl    $TABLES_FIXED, tables
        call    each_segment
        call    map_make                # without what the kernel takes
# ANCHOR_END: place
# ANCHOR: allocate_rest
        mov     $.Lmodule, %ebp
        call    each_module
        call    .Lhigh_memory
        mov     stack_pages, %edx
        call    .Lcount_tables
        mov     tables, %eax
        add     stack_pages, %eax
        inc     %eax                    # the boot info
        mov     $1, %ecx
        call    map_find
        mov     %eax, stack_frame
        add     stack_pages, %eax
        mov     %eax, info_frame
        inc     %eax
        mov     %eax, frame_next
        mov     %edx, %eax
        jmp     identity_grow
# ANCHOR_END: allocate_rest
# ANCHOR_END: allocate

# Is the segment's own physical address (p_paddr) free memory? CF = 1: no.
# ANCHOR: free_as_linked
.Lfree_as_linked:
        mov     P_PADDR(%rbx), %rax     # RAX = its first byte
        mov     P_MEMSZ(%rbx), %rdx
        add     %rax, %rdx              # RDX = its end
        mov     $FOUR_GIB, %rsi
        cmp     %rsi, %rax
        jae     .Lno
        cmp     %rsi, %rdx
        ja      .Lno
        mov     %eax, %ecx              # a page must be a frame
        xor     P_VADDR(%rbx), %ecx
        test    $PAGE_BYTES - 1, %ecx
        jnz     .Lno
# ANCHOR_END: free_as_linked

# ANCHOR: before
        mov     $ELF_BASE + E_BYTES, %edi
        xor     %ecx, %ecx              # RCX = the segment right before it
.Lbefore:
        cmp     %ebx, %edi
        je      .Lalone
        cmpl    $PT_LOAD, P_TYPE(%rdi)
        jne     .Lpassed
        mov     %edi, %ecx
        cmp     P_PADDR(%rdi), %rdx     # the two must not overlap
        jbe     .Lpassed
        mov     P_PADDR(%rdi), %rsi
        add     P_MEMSZ(%rdi), %rsi
        cmp     %rsi, %rax
        jb      .Lno
.Lpassed:
        add     $P_BYTES, %edi
        jmp     .Lbefore
.Lalone:cmpl    $0, P_SHARED(%rbx)      # one page for both: one frame for both
        je      .Lapart
        mov     P_PADDR(%rcx), %rsi
        sub     P_VADDR(%rcx), %rsi
        add     P_VADDR(%rbx), %rsi
        cmp     %rsi, %rax
        jne     .Lno
.Lapart:call    .Lframes
        cmp     $FRAMES_1M, %eax
        jae     map_fits
.Lno:   stc
        ret
# ANCHOR_END: before

# Bytes RAX to RDX become frames, from EAX to the end frame EDX.
# ANCHOR: frames
.Lframes:
        add     $PAGE_BYTES - 1, %rdx
        shr     $PAGE_SHIFT, %rax
        shr     $PAGE_SHIFT, %rdx
        ret
# ANCHOR_END: frames

# Places all segments as one block that keeps their virtual distances.
# ANCHOR: place_as_block
.Lplace_as_block:
        mov     $.Lfirst, %ebp
        call    each_segment            # RBX = the first of them
        mov     P_VADDR(%rbx), %rbx
        and     $~(PAGE_BYTES - 1), %rbx
        mov     kernel_last, %rax
        sub     %rbx, %rax
        shr     $PAGE_SHIFT, %rax
        inc     %rax                    # frames from end to end
        mov     $msg_space, %esi
        cmp     $FRAMES_4G, %rax
        ja      die
        mov     $FRAMES_2M, %ecx        # aligned to 2 MiB (docs/protocol.md)
        call    map_find
        testb   $FEATURE_CRATE, features
        jz      .Lholes
        mov     $KIND_KERNEL, %ecx      # one region: that crate's kernels have no
        call    region_add              # usable memory in holes between segments
.Lholes:
        shl     $PAGE_SHIFT, %rax
        sub     %rbx, %rax              # RAX = from virtual to physical
        mov     $.Lmove, %ebp
        jmp     each_segment
.Lfirst:stc
        ret
.Lmove: mov     P_VADDR(%rbx), %rdx
        add     %rax, %rdx
        mov     %rdx, P_PADDR(%rbx)
        clc
        ret
# ANCHOR_END: place_as_block

# Takes the segment's frames out of free memory, counts tables to map them.
# ANCHOR: take
.Ltake: mov     P_PADDR(%rbx), %rax
        mov     P_MEMSZ(%rbx), %rdx
        add     %rax, %rdx
        call    .Lframes
        mov     $KIND_KERNEL, %ecx
        call    region_add
        push    %rdx
        sub     %eax, %edx
        call    .Lcount_tables
        pop     %rax
        jmp     .Lgrow
# ANCHOR_END: take

# Finds free memory for the command line or the ramdisk, and takes it.
# ANCHOR: module
.Lmodule:
        mov     P_MEMSZ(%rbx), %rax
        add     $PAGE_BYTES - 1, %rax
        shr     $PAGE_SHIFT, %rax
        mov     $1, %ecx
        call    map_find
        mov     %rax, %rcx
        shl     $PAGE_SHIFT, %rcx
        mov     %rcx, P_PADDR(%rbx)
        mov     $KIND_MODULE, %ecx
        call    region_add
        push    %rbx
        push    %rbp
        push    %rdx
        call    map_make                # without what it takes
        pop     %rax
        pop     %rbp
        pop     %rbx
.Lgrow: push    %rbx
        push    %rbp
        call    identity_grow
        pop     %rbp
        pop     %rbx
        clc
        ret
# ANCHOR_END: module

# Counts tables for the memory above 4 GiB.
# ANCHOR: high_memory
.Lhigh_memory:
        mov     $MAP_BASE, %esi
.Lhigh: cmp     map_end, %esi
        je      .Ldone
        call    is_ram
        jne     .Llow
        mov     REGION_END(%rsi), %edx
        cmp     $FRAMES_4G, %edx
        jbe     .Llow
        sub     (%rsi), %edx
        shr     $LEVEL_PD, %edx         # pages of 2 MiB
        call    .Lcount_tables
.Llow:  add     $REGION_BYTES, %esi
        jmp     .Lhigh

# Counts the tables, at most, that map EDX consecutive pages: on each level
# what the pages fill, and two more that they begin and end in.
.Lcount_tables:
        mov     $3, %ecx
.Llevel:shr     $LEVEL_BITS, %edx
        add     $2, %edx
        add     %edx, tables
        loop    .Llevel
.Ldone: ret
# ANCHOR_END: high_memory

# ANCHOR: variables
        .bss
        .balign 4
        .globl  frame_next, stack_frame, info_frame
tables: .skip   4                       # page tables, at most
frame_next:                             # next free frame for a page table
        .skip   4
stack_frame:                            # the lowest of the stack's frames
        .skip   4
info_frame:                             # the boot info's
        .skip   4
# ANCHOR_END: variables
