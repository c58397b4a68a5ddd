# chunk.s - read sectors and verify them, a chunk at a time
#
# Mode:      64-bit long mode
# Called by: kernel.s
# Provides:  chunk_next
# Next:      elf.s
#
# A chunk is up to 127 sectors, the most that one BIOS call may read. The image holds
# a checksum for each chunk of the kernel, in a checksum table. The table comes
# in blocks of a chunk each: the image header has the checksum of the first
# block, and each block that of the next one.
#
# No SSE: a hypervisor that has to emulate this code, as KVM may, knows the SSE
# instructions that move, but not those that calculate.

# ANCHOR: uses
        .include "layout.inc"

        .set    READ_TRIES,  4          # while the checksum is wrong

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# chunk_next - read the kernel's next chunk to CHUNK_BASE and verify it, or stop
#
# In:        EAX first sector; ECX count, 1..127
# Clobbers:  RAX, RBX, RCX, RDX, RBP, RSI, RDI, R8-R11
# ANCHOR: chunk_next
        .globl  chunk_next
chunk_next:
        cmpl    $0, checksums_left
        jne     .Lchecksum
        push    %rax
        push    %rcx
        call    .Lblock
        pop     %rcx
        pop     %rax
.Lchecksum:
        mov     checksum_next, %esi
        mov     (%rsi), %rdx
        addl    $CHECKSUM_BYTES, checksum_next
        decl    checksums_left
        # fall through
# ANCHOR_END: chunk_next

# One chunk, of the kernel or of the table. RDX = its checksum.
# ANCHOR: chunk
# ANCHOR: read
.Lchunk:push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %eax, %r12d             # R12D = first sector
        mov     %ecx, %r13d             # R13D = count
        mov     %rdx, %r14              # R14 = what its checksum must be
        mov     $READ_TRIES, %r15d
.Lread: mov     %r12d, %eax
        mov     %r13d, %ecx
        movzbl  boot_drive, %edx
        mov     $bios_read_chunk, %r8d
        call    bios_call
        mov     $msg_read, %esi
        jc      .Lsectors
        call    .Lsum
        cmp     %r14, %rax
        je      .Lgood
        dec     %r15d
        jnz     .Lread
        mov     $msg_wrong, %esi
# ANCHOR_END: read
# ANCHOR: name_sectors
.Lsectors:
        call    put
        mov     $msg_sectors, %esi
        call    put
        mov     %r12d, %eax
        call    put_decimal
        mov     $'-', %al
        call    put_char
        lea     -1(%r12, %r13), %eax
        call    put_decimal
        mov     $msg_nothing, %esi
        jmp     die
.Lgood: pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        ret
# ANCHOR_END: name_sectors
# ANCHOR_END: chunk

# The checksum of the chunk of R13D sectors that begins with sector R12D of the
# disk. Out: RAX. Four lanes: a multiplication takes several cycles, but another
# one can begin in each of them.
# ANCHOR: checksum
# ANCHOR: sum
.Lsum:  mov     $CHUNK_BASE + 128, %esi # offsets below fit into a signed byte
        mov     %r13d, %ebp
        shl     $SECTOR_SHIFT, %ebp
        add     %esi, %ebp
        mov     $CHECKSUM_FACTOR, %rdx
        mov     %r12d, %r8d             # the same bytes in another place have
        xor     %r9d, %r9d              # another checksum
        xor     %r10d, %r10d
        xor     %r11d, %r11d
# ANCHOR_END: sum
# ANCHOR: round
.Lround:.set    offset, -128
        .rept   CHECKSUM_ROUND / (CHECKSUM_LANES * 8)
        xor     offset(%rsi), %r8       # each step can be undone, so one changed
        imul    %rdx, %r8               # word always changes the result; the
        xor     offset + 8(%rsi), %r9   # multiplication makes it depend on the
        imul    %rdx, %r9               # word's position
        xor     offset + 16(%rsi), %r10
        imul    %rdx, %r10
        xor     offset + 24(%rsi), %r11
        imul    %rdx, %r11
        .set    offset, offset + 32
        .endr
        bswap   %r8                     # the highest bits, which a multiplication
        bswap   %r9                     # leaves where they are, become low ones
        bswap   %r10
        bswap   %r11
        add     $CHECKSUM_ROUND, %esi
        cmp     %ebp, %esi
        jne     .Lround
# ANCHOR_END: round
# ANCHOR: fold
        mov     %r8, %rax
        imul    %rdx, %rax
        xor     %r9, %rax
        imul    %rdx, %rax
        xor     %r10, %rax
        imul    %rdx, %rax
        xor     %r11, %rax
        ret
# ANCHOR_END: fold
# ANCHOR_END: checksum

# The next block of the table, to CHECKSUMS_BASE. The fields of the image header
# move on to the block after it.
# ANCHOR: block
.Lblock:mov     checksums_sector, %eax
        mov     checksums_sectors, %ecx
        test    %ecx, %ecx
        jz      header_bad              # the table is too short for the kernel
        cmp     $CHUNK_SECTORS, %ecx
        jbe     .Lwhole
        mov     $CHUNK_SECTORS, %ecx
.Lwhole:add     %ecx, checksums_sector
        sub     %ecx, checksums_sectors
        push    %rcx
        mov     checksums_checksum, %rdx
        call    .Lchunk
        pop     %rcx
        mov     $CHUNK_BASE, %esi
        mov     $CHECKSUMS_BASE, %edi
        mov     %edi, checksum_next
        shl     $SECTOR_SHIFT - 3, %ecx # in words of 8 bytes: checksums
        mov     $BLOCK_CHECKSUMS, %eax  # the last slot is the next block's
        cmp     %eax, %ecx
        cmovb   %ecx, %eax
        mov     %eax, checksums_left
        rep movsq
        mov     CHECKSUMS_BASE + BLOCK_CHECKSUMS * CHECKSUM_BYTES, %rax
        mov     %rax, checksums_checksum
        ret
# ANCHOR_END: block

# ANCHOR: variables
checksums_left:                         # in this block
        .long   0

        .section .messages, "a"
msg_sectors:
        .ascii  ": sectors "
msg_nothing:                            # the zero that ends it
        .asciz  ""

        .bss
        .balign 4
checksum_next:                          # address of the next chunk's checksum
        .skip   4
# ANCHOR_END: variables
