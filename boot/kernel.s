# kernel.s - read the kernel from the disk, run by run, each one proved
#
# Mode:      16-bit real mode
# Called by: stage2.s
# Provides:  kernel_find, kernel_load; run_first, run_count, run_to, run_expected
# Read also: run.s, which proves and copies a run; place.s, which says where to
#
# On the disk stand the sums of all runs, then the kernel's ELF. The sums come
# in pieces of at most 127 sectors; the header of stage 2 proves the first
# piece, each piece the next one. Run 0 of the kernel is its ELF headers.

        .include "layout.inc"

        .set    RUN_TRIES,    4         # a run that came wrong is read again
        .set    BAR_WIDTH,    40        # characters
        .set    BAR_FROM,     ONE_MIB / SECTOR_BYTES    # less needs no bar

        .section .stage2, "ax"
        .code16

# kernel_find - read the first sums and the ELF headers, decide what goes where
#
# Clobbers:  all
        .globl  kernel_find
kernel_find:
        mov     $msg_kernel, %si
        call    print_line
        mov     kernel_left, %eax
        inc     %eax
        shr     $1, %eax
        call    print_decimal
        mov     $msg_kib, %si
        call    print
        call    piece_read
        mov     elf_sectors, %ecx
        cmp     $ELF_SECTORS_MAX, %ecx
        mov     $msg_elf, %si
        ja      die
        mov     $ELF_BASE, %edi
        call    run_read
        mov     $kernel_plan, %bx
        call    hop
        xchg    %ax, %si
        test    %si, %si
        jnz     die
        ret

# kernel_load - read every byte of the segments to where it belongs
#
# Clobbers:  all
# ANCHOR: kernel_load
        .globl  kernel_load
kernel_load:
        mov     kernel_left, %eax
        mov     %eax, bar_total
        movl    $0, bar_drawn
.Lnext: mov     kernel_left, %ecx
        jecxz   .Ldone
        cmpw    $0, sums_left
        jne     .Lrun
        call    piece_read
        jmp     .Lnext
.Lrun:  cmp     $RUN_SECTORS, %ecx
        jbe     .Lrest
        mov     $RUN_SECTORS, %ecx
.Lrest: xor     %edi, %edi              # scattered as the segments want it
        call    run_read
        call    bar
        jmp     .Lnext
.Ldone: ret
# ANCHOR_END: kernel_load

# In short: one run of the kernel. ECX = sectors, EDI = where to, 0: segments
run_read:
        mov     kernel_sector, %eax
        call    run_prove
        add     %ecx, kernel_sector
        sub     %ecx, kernel_left
        addl    $SUM_BYTES, run_expected
        decw    sums_left
        ret

# In short: the next piece of sums.
piece_read:
        movl    $proof_sum, run_expected
        mov     proof_sector, %eax
        mov     proof_left, %ecx
        cmp     $RUN_SECTORS, %ecx
        jbe     .Lpiece
        mov     $RUN_SECTORS, %ecx
.Lpiece:mov     $PROOF_BASE, %edi
        call    run_prove
        add     %ecx, proof_sector
        sub     %ecx, proof_left
        push    %ds                     # its last slot proves the next piece
        mov     $PROOF_BASE >> 4, %ax
        mov     %ax, %ds
        mov     $PIECE_SUMS * SUM_BYTES, %si
        mov     $proof_sum, %di
        mov     $SUM_BYTES / 2, %cx
        rep movsw
        pop     %ds
        movl    $PROOF_BASE, run_expected
        movw    $PIECE_SUMS, sums_left
        ret

# In short: read, copy, prove; again if it came wrong; stop if it stays so.
# EAX = first sector, ECX = sectors, EDI = where to, 0: segments. Keeps ECX.
# ANCHOR: run_prove
run_prove:
        mov     %eax, run_first
        mov     %ecx, run_count
        mov     %edi, run_to
        movb    $RUN_TRIES, run_tries
.Lread: mov     run_first, %eax
        mov     run_count, %cx
        mov     boot_drive, %dl
        mov     $RUN_BASE >> 4, %bx
        mov     %bx, %es
        xor     %bx, %bx
        call    disk_read
        mov     %bx, %es
        mov     $msg_disk, %si
        jc      .Lwhere
        mov     $run_copy, %bx
        call    hop
        mov     run_count, %ecx
        test    %eax, %eax
        jz      .Lright
        decb    run_tries
        jnz     .Lread
        mov     $msg_wrong, %si
.Lwhere:call    print_line
        mov     $msg_sectors, %si
        call    print
        mov     run_first, %eax
        call    print_decimal
        mov     $'-', %al
        call    putc
        mov     run_first, %eax
        add     run_count, %eax
        dec     %eax
        call    print_decimal
        jmp     die_wait
.Lright:ret
# ANCHOR_END: run_prove

# In short: draws as much of the bar as the last run is worth.
bar:    cmpl    $BAR_FROM, bar_total
        jb      .Lshort
        imul    $BAR_WIDTH, %ecx, %ecx
        add     %ecx, bar_drawn
.Lmark: mov     bar_total, %ecx
        cmp     %ecx, bar_drawn
        jb      .Lshort
        sub     %ecx, bar_drawn
        mov     $'#', %al
        call    putc
        jmp     .Lmark
.Lshort:ret

        .section .messages, "a"
msg_kernel:
        .asciz  "kernel "
msg_kib:.asciz  " KiB "
msg_sectors:
        .asciz  ": sectors "

        .bss
        .balign 4
        .globl  run_first, run_count, run_expected, run_to
run_first:                              # sector
        .skip   4
run_count:                              # sectors
        .skip   4
run_expected:                           # address of the sum that is right
        .skip   4
run_to: .skip   4                       # address, or 0 for the segments
bar_total:
        .skip   4                       # sectors in all
bar_drawn:
        .skip   4                       # sectors times BAR_WIDTH not drawn yet
sums_left:
        .skip   2
run_tries:
        .skip   1
