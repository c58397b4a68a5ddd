# run.s - prove a run of sectors, then copy it to where it belongs
#
# Mode:      64-bit long mode
# Called by: kernel.s, through hop
# Provides:  run_copy, run_segment, run_left
# Read also: docs/disk.md: what the sum catches and what it cannot
#
# No SSE: where a hypervisor has to emulate us, it knows the instructions that
# move SSE registers, but not those that add them up.

        .include "layout.inc"
        .include "elf.inc"

        .section .stage2, "ax"
        .code64

# run_copy - compare the sum of what stands at RUN_BASE and copy it
#
# In:        run_first, run_count, run_expected, run_to
# Out:       EAX = 0: it is what was stored; else not, and nothing is copied
# Clobbers:  all
# ANCHOR: run_copy
        .globl  run_copy
run_copy:
        mov     $RUN_BASE, %esi
        mov     run_count, %ecx
        shl     $2, %ecx                # lines of 128 bytes
        mov     run_first, %eax         # the same bytes elsewhere: other sum
        mov     $SUM_FACTOR, %rdx
.Lline: .set    offset, 0
        .rept   SUM_LINE / 8
        xor     offset(%rsi), %rax      # no step loses a bit of RAX, so one
        imul    %rdx, %rax              # wrong word always changes the sum,
        .set    offset, offset + 8      # and its place counts
        .endr
        bswap   %rax                    # high bits move others again
        add     $SUM_LINE, %esi
        dec     %ecx
        jnz     .Lline
        mov     run_expected, %ecx
        sub     (%rcx), %rax
        jnz     .Lwrong

        mov     %esi, %ebp              # RBP = behind the run
        mov     $RUN_BASE, %esi         # RSI = from
        mov     run_to, %edi            # RDI = to
        mov     %ebp, %edx
        sub     %esi, %edx              # EDX = bytes left for this place
        test    %edi, %edi
        jnz     .Lbytes
        mov     run_segment, %ebx       # RBX = program header that comes next
        mov     run_place, %edi
        mov     run_left, %edx
.Lplace:test    %edx, %edx
        jnz     .Lcopy
        mov     P_TYPE(%rbx), %eax
        cmp     $PT_LOAD, %eax
        je      .Lstored
        sub     $PT_PACKAGE, %eax
        cmp     $PACKAGES, %eax
        jae     .Lskip
.Lstored:
        mov     P_PADDR(%rbx), %edi
        mov     P_FILESZ(%rbx), %edx
.Lskip: add     $P_BYTES, %ebx
        jmp     .Lplace
.Lcopy: call    .Lbytes
        add     $SECTOR_BYTES - 1, %esi # segments begin with a sector
        and     $~(SECTOR_BYTES - 1), %esi
        cmp     %ebp, %esi
        jne     .Lplace
        mov     %ebx, run_segment
        mov     %edi, run_place
        mov     %edx, run_left
        xor     %eax, %eax
        ret
# ANCHOR_END: run_copy
.Lwrong:mov     $1, %eax
        ret

# In short: copies what the place wants, EDX, or what is left of the run. To
# the byte: what follows may belong to another segment.
.Lbytes:mov     %ebp, %ecx
        sub     %esi, %ecx
        cmp     %edx, %ecx
        cmova   %edx, %ecx
        sub     %ecx, %edx
        mov     %ecx, %eax
        shr     $3, %ecx
        rep movsq
        mov     %eax, %ecx
        and     $7, %ecx
        rep movsb
        xor     %eax, %eax
        ret

        .bss
        .balign 4
        .globl  run_segment, run_left
run_segment:                            # address of a program header
        .skip   4
run_place:                              # where its next byte goes
        .skip   4
run_left:                               # how many it still wants
        .skip   4
