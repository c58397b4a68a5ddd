# place.s - which memory does the kernel get, and which do we need?
#
# Mode:      64-bit long mode
# Called by: kernel.s, through hop
# Provides:  kernel_plan, is_ram, frame_next
# Read also: regions.s, the map that it asks; paging.s, which uses the frames

        .include "layout.inc"
        .include "elf.inc"

        .set    BLOCK_FRAMES, 0x200     # a block begins at full 2 MiB

        # Page tables that every kernel needs: the root; three each for the
        # low MiB and the boot info; for the first 4 GiB of physical memory
        # two, five and one, wherever they begin.
        .set    TABLES_FIXED, 1 + 3 + 3 + 8

        .section .stage2, "ax"
        .code64

# kernel_plan - check the headers, place the segments, find room for our own
#
# Out:       EAX = 0, or a message; every p_paddr is where its segment goes;
#            frame_next = our first frame; run_segment, run_left for run_copy
# Clobbers:  all
# ANCHOR: plan
        .globl  kernel_plan
kernel_plan:
        call    elf_check
        jc      .Lret
        call    map_make
        jc      .Lret
        mov     $.Lfree_as_linked, %ebp
        call    each_segment
        jnc     .Lplaced
        call    .Lplace_as_block
        jc      .Lspace
.Lplaced:
        mov     $.Ltake, %ebp
        movl    $TABLES_FIXED, tables
        call    each_segment
        call    map_make                # without what the kernel takes
        jc      .Lret
        mov     $.Lpackage, %ebp
        call    each_package
        jc      .Lret
        call    .Lhigh_memory
        mov     stack_pages, %edx
        call    .Ltables
        mov     tables, %eax
        add     stack_pages, %eax
        inc     %eax                    # the boot info
        mov     $1, %ecx
        call    map_find
        jc      .Lspace
        mov     %eax, frame_next
        mov     %edx, %eax
        call    identity_grow
        mov     $ELF_BASE + E_BYTES, %eax
        mov     %eax, run_segment
        xor     %eax, %eax
        mov     %eax, run_left
.Lret:  ret
.Lspace:mov     $msg_space, %eax
        ret
# ANCHOR_END: plan

# Is the segment's own physical place good? CF = 1: no.
.Lfree_as_linked:
        mov     P_PADDR(%rbx), %rax     # RAX = first byte
        mov     P_MEMSZ(%rbx), %rdx
        add     %rax, %rdx              # RDX = behind the last one
        mov     $FOUR_GIB, %rsi
        cmp     %rsi, %rax
        jae     .Lno
        cmp     %rsi, %rdx
        ja      .Lno
        mov     %eax, %ecx              # pages must fall on frames
        xor     P_VADDR(%rbx), %ecx
        test    $PAGE_BYTES - 1, %ecx
        jnz     .Lno

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
        cmp     $ONE_MIB / PAGE_BYTES, %eax
        jae     map_fits
.Lno:   stc
        ret

# In short: bytes RAX to RDX become frames, EAX to behind EDX.
.Lframes:
        add     $PAGE_BYTES - 1, %rdx
        shr     $12, %rax
        shr     $12, %rdx
        ret

# One block that keeps the virtual distances. CF = 1: there is no room.
.Lplace_as_block:
        mov     $.Lfirst, %ebp
        call    each_segment            # RBX = the first of them
        mov     P_VADDR(%rbx), %rbx
        and     $~(PAGE_BYTES - 1), %rbx
        mov     segment_last, %rax
        sub     %rbx, %rax
        shr     $12, %rax
        inc     %rax                    # frames from end to end
        cmp     $FOUR_GIB / PAGE_BYTES, %rax
        ja      .Lno
        mov     $BLOCK_FRAMES, %ecx
        call    map_find
        jc      .Lfirst
        shl     $12, %rax
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

# Takes the segment's frames out of free memory, counts tables to map them.
.Ltake: mov     P_PADDR(%rbx), %rax
        mov     P_MEMSZ(%rbx), %rdx
        add     %rax, %rdx
        call    .Lframes
        mov     $KIND_KERNEL, %ecx
        call    region_put
        push    %rax
        push    %rdx
        mov     %edx, %eax
        call    identity_grow
        pop     %rdx
        pop     %rax
        sub     %eax, %edx
        jmp     .Ltables

# Finds free memory for the command line or the ramdisk, and takes it.
.Lpackage:
        mov     P_MEMSZ(%rbx), %rax
        add     $PAGE_BYTES - 1, %rax
        shr     $12, %rax
        mov     $1, %ecx
        call    map_find
        jc      .Lnowhere
        mov     %rax, %rcx
        shl     $12, %rcx
        mov     %rcx, P_PADDR(%rbx)
        mov     $KIND_PACKAGE, %ecx
        call    region_put
        mov     %edx, %eax
        call    identity_grow
        push    %rbx
        push    %rbp
        call    map_make                # without what it takes
        pop     %rbp
        pop     %rbx
        ret
.Lnowhere:
        mov     $msg_space, %eax
        ret

# Counts tables for the memory above 4 GiB.
.Lhigh_memory:
        mov     $MAP_BASE, %esi
.Lhigh: cmp     map_end, %esi
        je      .Ldone
        call    is_ram
        jne     .Llow
        mov     4(%rsi), %edx
        cmp     $FOUR_GIB / PAGE_BYTES, %edx
        jbe     .Llow
        sub     (%rsi), %edx
        shr     $9, %edx                # pages of 2 MiB
        call    .Ltables
.Llow:  add     $REGION_BYTES, %esi
        jmp     .Lhigh

# Counts the tables, at most, that map EDX consecutive pages: on each level
# what the pages fill, and two more that they begin and end in.
.Ltables:
        mov     $3, %ecx
.Llevel:shr     $9, %edx
        add     $2, %edx
        add     %edx, tables
        loop    .Llevel
.Ldone: clc
        ret

# is_ram - is this region RAM for a kernel to reach, if not to use?
#
# In:        RSI = region in the map
# Out:       ZF  1 = usable memory, or the tables of ACPI
# Clobbers:  EAX
        .globl  is_ram
is_ram: mov     8(%rsi), %eax
        cmp     $KIND_USABLE, %eax
        je      .Lram
        cmp     $KIND_ACPI, %eax
        je      .Lram
        cmp     $KIND_NVS, %eax
.Lram:  ret

        .bss
        .balign 4
        .globl  frame_next
tables: .skip   4                       # page tables, at most
frame_next:                             # our next free frame
        .skip   4
