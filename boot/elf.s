# elf.s - are these the headers of a kernel that can be started?
#
# Mode:      64-bit long mode
# Called by: stage2.s, before any segment is read; each_... also by kernel.s,
#            allocate.s, address_space.s and boot_info.s
# Provides:  elf_check, kernel_last; each_segment, each_module, each_header
# Next:      allocate.s; docs/protocol.md has the rules for segments
#
# The image builder checks all this, too, and says more about it. Check again:
# the disk is not trusted, and what passes here is loaded and jumped to.

# ANCHOR: uses
        .include "layout.inc"
        .include "elf.inc"

        .set    SEGMENT_MAX, 0x80000000 # bytes: 2 GiB

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# each_segment - call a routine for every PT_LOAD
# each_module  - the same for the command line and the ramdisk
# each_header  - the same for every program header of type R12D
#
# In:        RBP = routine; it gets RBX = program header, keeps RBX, RBP, R12,
#            R13, and returns CF = 1 to end the loop
# Out:       CF  0 = all done, 1 = ended at RBX
# Clobbers:  RBX, RCX, R12-R14, what the routine does
# ANCHOR: each
        .globl  each_segment, each_module, each_header
each_module:
        mov     $PT_COMMAND_LINE, %r12d
        mov     $MODULE_TYPES, %r13d
        jmp     .Lfirst
each_segment:
        mov     $PT_LOAD, %r12d
each_header:
        mov     $1, %r13d
.Lfirst:mov     $ELF_BASE + E_BYTES, %ebx
        movzwl  ELF_BASE + E_PHNUM, %ecx
.Leach: mov     P_TYPE(%rbx), %r14d
        sub     %r12d, %r14d
        cmp     %r13d, %r14d
        jae     .Lskip
        push    %rcx
        call    *%rbp
        pop     %rcx
        jc      .Lret
.Lskip: add     $P_BYTES, %ebx
        loop    .Leach
        clc
.Lret:  ret
# ANCHOR_END: each

# elf_check - stop unless the ELF header and every program header is good
#
# Out:       kernel_last = last virtual address of the kernel
# Clobbers:  all
# ANCHOR: elf_check
# ANCHOR: elf_header
        .globl  elf_check
elf_check:
        mov     $ELF_BASE, %esi
        cmpl    $ELF_MAGIC, E_IDENT(%rsi)
        jne     .Lno_elf
        mov     E_IDENT + 4(%rsi), %eax
        and     $0xffffff, %eax
        cmp     $ELF_CLASS_DATA_VERSION, %eax
        jne     .Lno_elf
        cmpl    $ET_EXEC | EM_X86_64 << 16, E_TYPE(%rsi)
        jne     .Lno_elf
        cmpq    $E_BYTES, E_PHOFF(%rsi)
        jne     .Lno_elf
        cmpw    $P_BYTES, E_PHENTSIZE(%rsi)
        jne     .Lno_elf
        movzwl  E_PHNUM(%rsi), %eax
        dec     %eax                    # unsigned: none became the most
        cmp     $(ELF_SECTORS_MAX * SECTOR_BYTES - E_BYTES) / P_BYTES, %eax
        jae     .Lno_elf                # or more than there is room for
        imul    $P_BYTES, %eax
        add     $E_BYTES + P_BYTES + SECTOR_BYTES - 1, %eax
        shr     $SECTOR_SHIFT, %eax     # sectors of all headers
        cmp     elf_sectors, %eax
        jne     .Lno_elf
# ANCHOR_END: elf_header

# ANCHOR: elf_segments
        mov     %eax, %r9d              # R9D = where in the file the next one
        mov     $ONE_MIB - 1, %r8d      # begins; R8 = last address of the one
        xor     %r10d, %r10d            # before, so the first must begin at 1 MiB
        xor     %r11d, %r11d            # or above; R10 = its header; R11D = rights
                                        # of the page it ends in
        xor     %r15d, %r15d            # R15D = 1: the entry point was found
        mov     $.Lsegment, %ebp
        call    each_segment
        call    each_module
        cmp     kernel_sectors, %r9d    # do they account for every sector?
        jne     .Lbad
        mov     %r8, kernel_last
        test    %r15d, %r15d
        mov     $msg_entry, %esi
        jz      die
        ret
.Lno_elf:
        mov     $msg_elf, %esi
        jmp     die
.Lbad:  mov     $msg_segment, %esi
        jmp     die
.Lwx:   mov     $msg_wx, %esi
        jmp     die
# ANCHOR_END: elf_segments

# One segment or module.
# ANCHOR: segment
.Lsegment:
        mov     %r9d, %eax              # right after the one before?
        shl     $SECTOR_SHIFT, %rax
        cmp     P_OFFSET(%rbx), %rax
        jne     .Lbad
        mov     P_MEMSZ(%rbx), %rcx
        dec     %rcx                    # RCX = offset of its last byte
        cmp     $SEGMENT_MAX - 1, %rcx
        ja      .Lbad                   # empty, or too large
        mov     P_FILESZ(%rbx), %rax
        cmp     P_MEMSZ(%rbx), %rax
        ja      .Lbad
        add     $SECTOR_BYTES - 1, %eax
        shr     $SECTOR_SHIFT, %eax
        add     %eax, %r9d
        cmpl    $PT_LOAD, P_TYPE(%rbx)
        je      .Lload
        cmp     %r10d, %ebx             # modules come after all segments
        jb      .Lbad
        ret                             # CF = 0
# ANCHOR_END: segment

# ANCHOR: load
.Lload: mov     %ebx, %r10d
        mov     P_VADDR(%rbx), %rsi     # RSI = its first address
        lea     (%rsi, %rcx), %rdi      # RDI = its last address
        cmp     %r8, %rsi
        jbe     .Lbad                   # not above the one before
        cmp     %rsi, %rdi
        jb      .Lbad                   # wraps around
        call    canonical
        jc      .Lbad
# ANCHOR_END: load

# ANCHOR: reserved
        mov     $reserved_ranges, %ecx  # is any of its pages in one of these?
.Lrange:mov     %rdi, %rax
        or      $PAGE_BYTES - 1, %rax
        cmp     (%rcx), %rax
        jb      .Lfree
        mov     %rsi, %rax
        and     $~(PAGE_BYTES - 1), %rax
        cmp     RANGE_LAST(%rcx), %rax
        jbe     .Lbad
.Lfree: add     $RANGE_BYTES, %ecx
        cmp     $reserved_ranges_end, %ecx
        jne     .Lrange
# ANCHOR_END: reserved

# ANCHOR: rights
        mov     P_FLAGS(%rbx), %eax     # EAX = rights of its first page: its
        movl    $0, P_SHARED(%rbx)      # own, and those of the segment before
        xor     %rsi, %r8               # where that ends in the same page
        shr     $PAGE_SHIFT, %r8
        jnz     .Lown
        incl    P_SHARED(%rbx)
        or      %r11d, %eax
.Lown:  mov     %rdi, %r8
        mov     %eax, P_RIGHTS(%rbx)
        mov     %eax, %edx
        and     $PF_W | PF_X, %edx
        cmp     $PF_W | PF_X, %edx
        jne     .Lrights
        cmpl    $0, allow_wx
        je      .Lwx
.Lrights:
        xor     %rsi, %rdi              # does it end in another page?
        shr     $PAGE_SHIFT, %rdi
        jz      .Lone
        mov     P_FLAGS(%rbx), %eax
.Lone:  mov     %eax, %r11d
# ANCHOR_END: rights

# ANCHOR: entry_point
        testl   $PF_X, P_FLAGS(%rbx)
        jz      .Lgood
        mov     ELF_BASE + E_ENTRY, %rax
        sub     %rsi, %rax
        cmp     P_FILESZ(%rbx), %rax    # unsigned: below it became large
        jae     .Lgood
        mov     $1, %r15d
.Lgood: clc
        ret
# ANCHOR_END: entry_point
# ANCHOR_END: elf_check

# ANCHOR: variables
        .bss
        .balign 8
        .globl  kernel_last
kernel_last:
        .skip   8
# ANCHOR_END: variables
