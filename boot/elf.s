# elf.s - are these the headers of a kernel that can be started?
#
# Mode:      64-bit long mode
# Called by: place.s, before any segment is read; each_... also by others
# Provides:  elf_check, each_segment, each_package, each_header, segment_last
# Read also: docs/protocol.md: the rules for a kernel's segments
#
# The image builder checks all this, too, and says more about it. But what is
# not checked here is jumped to, whoever wrote the disk.

        .include "layout.inc"
        .include "elf.inc"

        .section .stage2, "ax"
        .code64

# each_segment, each_package - call a routine for every PT_LOAD, or for the
#              command line and the ramdisk
# each_header - the same for every program header of type R12D
#
# In:        RBP = routine; it gets RBX = program header, keeps RBX, RBP, R12
#            and R13
# Out:       CF  0 = all done, 1 = the routine returned CF = 1, for RBX
# Clobbers:  RBX, RCX, R12-R14, what the routine does
        .globl  each_segment, each_package, each_header
each_package:
        mov     $PT_PACKAGE, %r12d
        mov     $PACKAGES, %r13d
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

# elf_check - check the ELF header and every program header
#
# Out:       CF  0 = good, 1 = not, and EAX = message
# Clobbers:  all
# ANCHOR: elf_check
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
        dec     %eax
        cmp     $(ELF_SECTORS_MAX * SECTOR_BYTES - E_BYTES) / P_BYTES, %eax
        jae     .Lno_elf                # none, or more than there is room for
        imul    $P_BYTES, %eax
        add     $E_BYTES + P_BYTES + SECTOR_BYTES - 1, %eax
        shr     $9, %eax                # sectors of all headers
        cmp     elf_sectors, %eax
        jne     .Lno_elf

        mov     %eax, next_sector
        movq    $ONE_MIB - 1, segment_last
        movl    $0, last_load
        movl    $0, last_rights
        movl    $0, entry_found
        mov     $.Lsegment, %ebp
        call    each_segment
        jc      .Lret
        call    each_package
        jc      .Lret
        mov     kernel_left, %eax       # is everything on the disk spoken for?
        add     elf_sectors, %eax
        cmp     next_sector, %eax
        jne     .Lbad
        cmpl    $1, entry_found         # CF = 1: no
        mov     $msg_entry, %eax
        ret
.Lno_elf:
        mov     $msg_elf, %eax
        stc
        ret

# One segment or package.
.Lsegment:
        mov     next_sector, %eax       # stands right behind the one before?
        shl     $9, %rax
        cmp     P_OFFSET(%rbx), %rax
        jne     .Lbad
        mov     P_MEMSZ(%rbx), %rcx
        dec     %rcx                    # RCX = offset of its last byte
        cmp     $0x7fffffff, %rcx
        ja      .Lbad                   # empty, or more than 2 GiB
        mov     P_FILESZ(%rbx), %rax
        cmp     P_MEMSZ(%rbx), %rax
        ja      .Lbad
        add     $SECTOR_BYTES - 1, %eax
        shr     $9, %eax
        add     %eax, next_sector
        cmpl    $PT_LOAD, P_TYPE(%rbx)
        je      .Lload
        cmp     last_load, %ebx         # packages come behind all segments
        jb      .Lbad
        ret                             # and CF = 0

.Lload: mov     %ebx, last_load
        mov     P_VADDR(%rbx), %rsi     # RSI = its first address
        mov     segment_last, %rdx
        cmp     %rdx, %rsi
        jbe     .Lbad                   # not above the one before
        lea     (%rsi, %rcx), %rdi      # RDI = its last address
        cmp     %rsi, %rdi
        jb      .Lbad                   # wraps around
        mov     %rdi, segment_last

        mov     %rsi, %rax              # bits 63 to 47 all alike, and at both
        mov     %rdi, %rcx              # ends the same
        sar     $47, %rax
        sar     $47, %rcx
        cmp     %rax, %rcx
        jne     .Lbad
        inc     %rax
        cmp     $1, %rax
        ja      .Lbad

        mov     $info_address, %ecx     # is any of its pages ours?
.Lours: mov     %rdi, %rax
        or      $PAGE_BYTES - 1, %rax
        cmp     (%rcx), %rax
        jb      .Lfree
        mov     %rsi, %rax
        and     $~(PAGE_BYTES - 1), %rax
        cmp     8(%rcx), %rax
        jbe     .Lbad
.Lfree: add     $16, %ecx
        cmp     $stage2_header_end, %ecx
        jne     .Lours

        mov     P_FLAGS(%rbx), %eax     # EAX = rights of its first page: its
        movl    $0, P_SHARED(%rbx)      # own, and of who else is in there
        xor     %rsi, %rdx
        shr     $12, %rdx
        jnz     .Lown
        incl    P_SHARED(%rbx)
        or      last_rights, %eax
.Lown:  mov     %eax, P_RIGHTS(%rbx)
        mov     %eax, %edx
        and     $PF_W | PF_X, %edx
        cmp     $PF_W | PF_X, %edx
        jne     .Lrights
        cmpl    $0, allow_wx
        je      .Lwx
.Lrights:
        xor     %rsi, %rdi              # is its last page another one?
        shr     $12, %rdi
        jz      .Lone
        mov     P_FLAGS(%rbx), %eax
.Lone:  mov     %eax, last_rights

        testl   $PF_X, P_FLAGS(%rbx)
        jz      .Lgood
        mov     ELF_BASE + E_ENTRY, %rax
        sub     %rsi, %rax
        cmp     P_FILESZ(%rbx), %rax
        jae     .Lgood
        movl    $1, entry_found
.Lgood: clc
        ret
.Lbad:  mov     $msg_segment, %eax
        stc
        ret
.Lwx:   mov     $msg_wx, %eax
        stc
        ret
# ANCHOR_END: elf_check

        .bss
        .balign 8
        .globl  segment_last
segment_last:                           # last address of the segment before
        .skip   8
last_load:                              # its program header
        .skip   4
last_rights:                            # of the page that holds it
        .skip   4
next_sector:                            # of the ELF, where the next one stands
        .skip   4
entry_found:
        .skip   4
