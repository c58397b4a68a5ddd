# map.s - a clean memory map, and room in it
#
# Mode:      64-bit long mode
# Called by: allocate.s and boot_info.s
# Provides:  map_make, map_find, map_fits, map_end, map_simplified
# Next:      paging.s
#
# Regions from a BIOS may overlap and come in any order. What we use is added to
# the same list. Where regions overlap, the higher kind counts: that is
# why usable memory is kind 0 and what we mark as used is 6 and up.

# ANCHOR: uses
        .include "layout.inc"

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# map_make - make the sorted map of disjoint regions from the list, or stop
#
# Out:       map_end; map_simplified = the size below which regions were given up
# Clobbers:  RAX, RBX, RCX, RDX, RBP, RSI, RDI, R8
#
# Walks upwards from frame 0. Each step looks at the whole list: which is the
# highest kind at this frame, and where is the next border of any region? If the
# map gets too long, all gaps and usable regions below a size become reserved,
# so that neighbours join; the size doubles until the map fits.
# ANCHOR: map_make
# ANCHOR: border
        .globl  map_make
map_make:
        xor     %r8d, %r8d              # R8D = that size, in frames
.Lagain:
        mov     $MAP_BASE, %edi         # EDI = end of the map so far
        xor     %edx, %edx              # EDX = this frame
.Lstep: mov     $-1, %eax               # EAX = highest kind here, -1: none
        mov     $-1, %ebx               # EBX = next border
        mov     $REGIONS_BASE, %esi
        mov     region_count, %ecx
.Lregion:
        mov     (%rsi), %ebp
        cmp     %edx, %ebp              # does it begin above?
        ja      .Lborder
        mov     REGION_END(%rsi), %ebp
        cmp     %edx, %ebp              # or end above?
        jbe     .Lother
        cmp     REGION_KIND(%rsi), %eax
        jge     .Lborder
        mov     REGION_KIND(%rsi), %eax
.Lborder:
        cmp     %ebx, %ebp
        jae     .Lother
        mov     %ebp, %ebx
.Lother:add     $REGION_BYTES, %esi
        loop    .Lregion
# ANCHOR_END: border

# ANCHOR: keep
        test    %eax, %eax              # usable (0), or a gap (-1)?
        jg      .Lkeep
        mov     %ebx, %ecx
        sub     %edx, %ecx
        cmp     %r8d, %ecx
        jae     .Llarge
        mov     $KIND_RESERVED, %eax
.Llarge:test    %eax, %eax
        js      .Lnext                  # gaps are not in the map
.Lkeep: cmp     $MAP_BASE, %edi
        je      .Lnew
        cmp     %eax, REGION_KIND - REGION_BYTES(%rdi)  # does it continue the
                                        # region before?
        jne     .Lnew
        cmp     %edx, REGION_END - REGION_BYTES(%rdi)
        je      .Ljoin
.Lnew:  cmp     $MAP_LIMIT, %edi
        je      .Lcoarser
        mov     %edx, (%rdi)
        mov     %eax, REGION_KIND(%rdi)
        add     $REGION_BYTES, %edi
.Ljoin: mov     %ebx, REGION_END - REGION_BYTES(%rdi)
.Lnext: mov     %ebx, %edx
        inc     %ebx                    # FFFFFFFFh: no border above
        jnz     .Lstep
        mov     %edi, map_end
        mov     %r8d, map_simplified
        ret
# ANCHOR_END: keep

# ANCHOR: coarser
.Lcoarser:
        lea     1(%r8, %r8), %r8d       # 0, 1, 3, 7 ... frames
        test    %r8d, %r8d
        jns     .Lagain
        mov     $msg_many, %esi
        jmp     die
# ANCHOR_END: coarser
# ANCHOR_END: map_make

# map_fits - are these frames all usable?
#
# In:        EAX first frame; EDX end frame
# Out:       CF  0 = yes, 1 = no
# Clobbers:  RSI
# ANCHOR: map_fits
        .globl  map_fits
map_fits:
        mov     $MAP_BASE, %esi
.Lfits: cmp     map_end, %esi
        je      .Lno
        cmpl    $KIND_USABLE, REGION_KIND(%rsi)
        jne     .Lmore
        cmp     (%rsi), %eax
        jb      .Lmore
        cmp     %edx, REGION_END(%rsi)
        jae     .Lret                   # and CF = 0
.Lmore: add     $REGION_BYTES, %esi
        jmp     .Lfits
.Lno:   stc
.Lret:  ret
# ANCHOR_END: map_fits

# map_find - find the lowest free frames between 1 MiB and 4 GiB, or stop
#
# For kernels of the bootloader crate, from 4 MiB on: below, it leaves usable
# memory, and its kernels may depend on a region of it that comes before the
# large one.
#
# In:        EAX how many; ECX alignment in frames, a power of two
# Out:       EAX first frame; EDX end frame
# Clobbers:  RCX, RSI, RDI
# ANCHOR: map_find
        .globl  map_find
map_find:
        mov     %eax, %edi
        dec     %ecx                    # ECX = the bits that must be 0
        mov     $MAP_BASE, %esi
.Lfind: cmp     map_end, %esi
        je      .Lspace
        mov     (%rsi), %eax
        mov     $FRAMES_1M, %edx
        testb   $FEATURE_CRATE, features
        jz      .Lown
        mov     $FRAMES_4M, %edx
.Lown:  cmp     %edx, %eax
        cmovb   %edx, %eax
        dec     %eax                    # round up
        or      %ecx, %eax
        inc     %eax
        lea     (%rax, %rdi), %rdx
        cmp     $FRAMES_4G, %rdx
        ja      .Lnot
        push    %rsi
        call    map_fits
        pop     %rsi
        jnc     .Lret
.Lnot:  add     $REGION_BYTES, %esi
        jmp     .Lfind
.Lspace:mov     $msg_space, %esi
        jmp     die
# ANCHOR_END: map_find

# ANCHOR: variables
        .bss
        .balign 4
        .globl  map_end, map_simplified
map_end:
        .skip   4
map_simplified:                         # frames; 0: nothing was simplified
        .skip   4
# ANCHOR_END: variables
