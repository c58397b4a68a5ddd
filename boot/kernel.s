# kernel.s - read the kernel's headers, then its segments
#
# Mode:      64-bit long mode
# Called by: stage2.s
# Provides:  kernel_open, kernel_load
# Next:      chunk.s, which reads; elf.s, which checks the headers
#
# The kernel is stored as a reduced ELF file: its headers are the first chunk,
# then come the bytes of each segment, each from the beginning of a sector.

# ANCHOR: uses
        .include "layout.inc"
        .include "elf.inc"

        .set    BAR_MARKS,    40        # of the progress bar
        .set    BAR_SECTORS,  ONE_MIB / SECTOR_BYTES    # a smaller kernel needs none

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# kernel_open - read the kernel's ELF header and program headers to ELF_BASE
#
# Clobbers:  all
# ANCHOR: kernel_open
        .globl  kernel_open
kernel_open:
        mov     $msg_kernel, %esi
        call    put
        mov     kernel_sectors, %eax
        inc     %eax
        shr     $10 - SECTOR_SHIFT, %eax        # sectors to KiB, rounded up
        call    put_decimal
        mov     $msg_kib, %esi
        call    put
        call    flush
        mov     kernel_sector, %eax
        mov     elf_sectors, %ecx
        push    %rcx
        call    chunk_next
        pop     %rcx
        shl     $SECTOR_SHIFT - 3, %ecx
        mov     $CHUNK_BASE, %esi
        mov     $ELF_BASE, %edi
        rep movsq
        ret
# ANCHOR_END: kernel_open

# kernel_load - read every segment and every boot module to its place
#
# Clobbers:  all
# Needs:     P_PADDR of each program header = its place (allocate.s)
# ANCHOR: kernel_load
        .globl  kernel_load
kernel_load:
        mov     elf_sectors, %eax
        mov     kernel_sector, %r12d
        add     %eax, %r12d             # R12D = next sector
        mov     kernel_sectors, %r13d
        sub     %eax, %r13d             # R13D = sectors left
        mov     $ELF_BASE + E_BYTES - P_BYTES, %r14d    # R14 = program header
        xor     %r15d, %r15d            # R15D = bytes left of its segment
        movl    $0, bar_drawn
.Lchunk:test    %r13d, %r13d
        jz      .Lclear
        mov     %r12d, %eax
        mov     $CHUNK_SECTORS, %ecx
        cmp     %ecx, %r13d
        cmovb   %r13d, %ecx
        add     %ecx, %r12d
        sub     %ecx, %r13d
        push    %rcx
        call    chunk_next
        pop     %rcx
        call    .Lscatter
        call    .Lbar
        jmp     .Lchunk
# ANCHOR_END: kernel_load

# Then clears what each segment has in memory only: .bss, to the byte.
# ANCHOR: bss
.Lclear:mov     $.Lbss, %ebp
        jmp     each_segment
.Lbss:  mov     P_PADDR(%rbx), %rdi
        mov     P_FILESZ(%rbx), %rax
        mov     P_MEMSZ(%rbx), %rcx
        add     %rax, %rdi
        sub     %rax, %rcx
        xor     %eax, %eax
        mov     %ecx, %edx
        and     $7, %ecx
        rep stosb
        mov     %edx, %ecx
        shr     $3, %ecx
        rep stosq
        clc
        ret
# ANCHOR_END: bss

# Copies a chunk of ECX sectors to the segments that it holds. The loop over the
# headers ends: elf_check made sure that they account for every sector.
# ANCHOR: scatter
# ANCHOR: scatter_find
.Lscatter:
        mov     $CHUNK_BASE, %esi       # RSI = next byte of the chunk
        mov     %ecx, %ebp
        shl     $SECTOR_SHIFT, %ebp
        add     %esi, %ebp              # RBP = its end
.Lsegment:
        test    %r15d, %r15d
        jnz     .Lcopy
        add     $P_BYTES, %r14d
        mov     P_TYPE(%r14), %eax
        cmp     $PT_LOAD, %eax
        je      .Lstored
        sub     $PT_COMMAND_LINE, %eax
        cmp     $MODULE_TYPES, %eax
        jae     .Lsegment
.Lstored:
        mov     P_FILESZ(%r14), %r15d
        jmp     .Lsegment
# ANCHOR_END: scatter_find
# ANCHOR: scatter_copy
.Lcopy: mov     P_PADDR(%r14), %rdi
        add     P_FILESZ(%r14), %rdi
        sub     %r15, %rdi              # RDI = where its next byte goes
        mov     %ebp, %ecx
        sub     %esi, %ecx
        cmp     %r15d, %ecx             # to the byte: what comes after it may
        cmova   %r15d, %ecx             # belong to another segment
        sub     %ecx, %r15d
        mov     %ecx, %eax
        shr     $3, %ecx
        rep movsq
        mov     %eax, %ecx
        and     $7, %ecx
        rep movsb
        add     $SECTOR_BYTES - 1, %esi # the next one begins with a sector
        and     $~(SECTOR_BYTES - 1), %esi
        cmp     %ebp, %esi
        jne     .Lsegment
        ret
# ANCHOR_END: scatter_copy
# ANCHOR_END: scatter

# Draws the progress bar as far as the kernel is read.
# ANCHOR: bar
.Lbar:  mov     kernel_sectors, %ecx
        cmp     $BAR_SECTORS, %ecx
        jb      .Ldrawn
        mov     %ecx, %eax
        sub     %r13d, %eax
        imul    $BAR_MARKS, %rax, %rax
        xor     %edx, %edx
        div     %rcx                    # EAX = marks that it should have
        mov     %eax, %ecx
        sub     bar_drawn, %ecx
        jz      .Ldrawn
        mov     %eax, bar_drawn
.Lmark: mov     $'#', %al
        call    put_char
        loop    .Lmark
        jmp     flush
.Ldrawn:ret
# ANCHOR_END: bar

# ANCHOR: messages
        .section .messages, "a"
msg_kernel:
        .asciz  "\r\nkernel "
msg_kib:.asciz  " KiB "

        .bss
        .balign 4
bar_drawn:                              # marks
        .skip   4
# ANCHOR_END: messages
