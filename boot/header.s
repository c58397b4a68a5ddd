# header.s - is the image header one that the image builder writes?
#
# Mode:      64-bit long mode
# Called by: stage2.s
# Provides:  header_check, header_bad, canonical
# Next:      memory.s
#
# The checksum finds accidents. A header that was made wrong on purpose has a
# right checksum; it must not make the loader misbehave either.

# ANCHOR: uses
        .include "layout.inc"
        .include "paging.inc"

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# header_check - stop unless every number that could do harm is in its range
#
# Clobbers:  RAX, RBX, RCX, RDX, RSI, RDI
# ANCHOR: header_check
# ANCHOR: numbers
        .globl  header_check
header_check:
        mov     elf_sectors, %eax
        dec     %eax
        cmp     $ELF_SECTORS_MAX, %eax  # unsigned: 0 became the largest
        jae     header_bad
        cmp     %eax, kernel_sectors    # EAX = elf_sectors - 1: the headers must
        jbe     header_bad              # be part of the kernel's sectors
        cmpl    $0, checksums_sectors
        je      header_bad
        mov     stack_pages, %eax
        dec     %eax
        cmp     $STACK_PAGES_MAX, %eax
        jae     header_bad
        cmpl    $1, allow_wx
        ja      header_bad
        cmpl    $FEATURES_ALL, features
        ja      header_bad
        mov     max_frame, %eax
        test    $FRAMES_2M - 1, %eax    # or the last large page would reach out
        jnz     header_bad              # of its range
        cmp     $FRAMES_4G, %eax
        jb      header_bad
        cmp     $FRAMES_MAX, %eax
        ja      header_bad
# ANCHOR_END: numbers

        # The boot info has one page, the stack its pages and the guard page,
        # and physical memory begins with a page of 2 MiB.
# ANCHOR: ranges
        mov     $reserved_ranges, %ebx
        mov     $1, %ecx
        mov     $PAGE_BYTES - 1, %edx
        call    .Lrange
        mov     stack_pages, %ecx
        inc     %ecx
        call    .Lrange
        mov     max_frame, %ecx
        mov     $FRAMES_2M * PAGE_BYTES - 1, %edx
        jmp     .Lrange

# header_bad - stop: the image header is invalid
        .globl  header_bad
header_bad:
        mov     $msg_header, %esi
        jmp     die
# ANCHOR_END: ranges

# One range: RBX = its first and last address, ECX = its pages, EDX = the bits
# of its first address that must be 0. Moves RBX on.
# ANCHOR: range
.Lrange:mov     (%rbx), %rsi
        mov     RANGE_LAST(%rbx), %rdi
        test    %rdx, %rsi
        jnz     header_bad
        cmp     $ONE_MIB, %rsi          # below, memory is mapped to itself
        jb      header_bad
        shl     $PAGE_SHIFT, %rcx
        lea     -1(%rsi, %rcx), %rax    # where it must end
        cmp     %rdi, %rax
        jne     header_bad
        call    canonical
        jc      header_bad
        mov     $reserved_ranges, %eax  # no range before it overlaps it
.Lother:cmp     %ebx, %eax
        je      .Lapart
        cmp     RANGE_LAST(%rax), %rsi
        ja      .Lclear
        cmp     (%rax), %rdi
        jae     header_bad
.Lclear:add     $RANGE_BYTES, %eax
        jmp     .Lother
.Lapart:add     $RANGE_BYTES, %ebx
        ret
# ANCHOR_END: range
# ANCHOR_END: header_check

# canonical - do all addresses of a range lie in one half of the address space?
#
# In:        RSI first address; RDI last address, not below it
# Out:       CF  0 = yes, 1 = no
# Clobbers:  RAX, RCX
#
# An address has 48 bits; bits 63 to 48 must be copies of bit 47.
# ANCHOR: canonical
        .globl  canonical
canonical:
        mov     %rsi, %rax
        mov     %rdi, %rcx
        sar     $47, %rax               # all bits alike: 0 or -1
        sar     $47, %rcx
        cmp     %rax, %rcx
        jne     .Lno
        inc     %rax                    # 1 or 0
        cmp     $2, %rax
        cmc                             # CF = 1: it was neither
        ret
.Lno:   stc
        ret
# ANCHOR_END: canonical
