# memory.s - ask the BIOS what memory there is
#
# Mode:      64-bit long mode
# Called by: stage2.s
# Provides:  memory_read, region_add, region_count, memory_source
# Next:      kernel.s
#
# A region is three 32-bit numbers: first frame, end frame (the first one that
# is no longer part of it), kind. A frame is 4 KiB of physical memory. What
# lies above `max_frame`, usually 4 TiB, is left out: one wrong entry would cost
# minutes and gigabytes of page tables.

# ANCHOR: uses
        .include "layout.inc"
# ANCHOR_END: uses

# ANCHOR: record
        .set    SMAP,        0x534d4150 # "SMAP"
        .set    E820_FIRST,  0          # an entry: first byte,
        .set    E820_LENGTH, 8          # bytes,
        .set    E820_TYPE,   16         # type, ACPI attributes (bit 0: the
        .set    E820_ATTR,   20         # entry is valid)
        .set    E820_BYTES,  24
        .set    E820_RETURNED, 24       # and after it in our records: how many
                                        # bytes the BIOS says that it stored
        .set    E820_RAM,    1
        .set    E820_LAST,   5          # types above are unknown: reserved

        .set    E801_MAX,    0x3c00     # KiB from 1 MiB to 16 MiB
        .set    FRAMES_16M,  16 * ONE_MIB / PAGE_BYTES
        .set    MIB_SHIFT,   8          # log2 of the frames in a MiB
        .set    GIB_SHIFT,   18         # and in a GiB

        .section .stage2, "ax"
        .code64
# ANCHOR_END: record

# memory_read - fill the list with what E820 says, else E801, else AH=88h
#
# Out:       memory_source = 0xE820, 0xE801 or 0x88
# Clobbers:  all
#
# The first MiB is left to the BIOS: its data, the extended BIOS data area, and
# what some BIOSes write to from system management mode. Linux (since 5.13) and
# Windows do the same.
# ANCHOR: memory_read
        .globl  memory_read
memory_read:
        movl    $0, region_count
        xor     %eax, %eax
        mov     $FRAMES_1M, %edx
        mov     $KIND_RESERVED, %ecx
        call    region_add
        movl    $0, beyond
        call    .Le820
        cmpl    $1, region_count        # did the BIOS add any to our one?
        ja      .Lreport
        call    .Le801
        cmpl    $1, region_count
        ja      .Lreport
        call    .Lextended
        cmpl    $1, region_count
        mov     $msg_memory, %esi
        jbe     die
# ANCHOR_END: memory_read

# ANCHOR: report
.Lreport:
        mov     $msg_usable, %esi
        call    put
        mov     $REGIONS_BASE, %esi
        mov     region_count, %ecx
        xor     %eax, %eax              # EAX = usable frames, as reported
.Lsum:  cmpl    $KIND_USABLE, REGION_KIND(%rsi)
        jne     .Lused
        add     REGION_END(%rsi), %eax
        sub     (%rsi), %eax
.Lused: add     $REGION_BYTES, %esi
        loop    .Lsum
        shr     $MIB_SHIFT, %eax
        call    put_decimal
        mov     $msg_mib, %esi
        call    put
        cmpl    $0, beyond
        je      flush
        mov     $msg_above, %esi
        call    put
        mov     max_frame, %eax
        shr     $GIB_SHIFT, %eax
        call    put_decimal
        mov     $msg_ignored, %esi
        call    put
        jmp     flush
# ANCHOR_END: report

# region_add - put a region into the list
#
# In:        EAX first frame; EDX end frame; ECX kind
# Clobbers:  RDI
# ANCHOR: region_add
        .globl  region_add
region_add:
        cmp     %edx, %eax
        jae     .Lempty
        mov     region_count, %edi
        imul    $REGION_BYTES, %edi
        mov     %eax, REGIONS_BASE(%rdi)
        mov     %edx, REGIONS_BASE + REGION_END(%rdi)
        mov     %ecx, REGIONS_BASE + REGION_KIND(%rdi)
        incl    region_count
.Lempty:ret
# ANCHOR_END: region_add

# INT 15h AX=E820h: an entry per call. All are collected first: only the whole map
# shows whether the attributes mean anything.
# ANCHOR: e820
# ANCHOR: e820_ask
.Le820: movl    $0xe820, memory_source
        mov     $E820_BASE, %r12d       # R12 = next record
        xor     %ebx, %ebx
.Lask:  movl    $1, e820_entry + E820_ATTR      # for a BIOS that stores 20 bytes,
        movq    $0, e820_entry + E820_LENGTH    # or none
        mov     $0xe820, %eax           # INT 15h AX=E820h. In: EBX = 0 or what
        mov     $SMAP, %edx             # it returned, ES:DI buffer, ECX its size
        mov     $E820_BYTES, %ecx       # Out: EAX = SMAP, EBX = 0 after the last
        mov     $e820_entry, %edi       # entry, ECX bytes stored. CF = 1: no
        mov     $bios_interrupt15, %r8d # E820, or no more entries
        call    bios_call
        jc      .Lconvert
        cmp     $SMAP, %eax
        jne     .Lnone                 # nothing that it said can be trusted
        mov     $e820_entry, %esi
        mov     %r12d, %edi
        movsq
        movsq
        movsq
        mov     %ecx, (%rdi)            # E820_RETURNED
        add     $E820_RECORD, %r12d
        test    %ebx, %ebx
        jz      .Lconvert
        cmp     $E820_END, %r12d
        jb      .Lask
        mov     $msg_simplified, %esi   # there are more: say so
        call    put
# ANCHOR_END: e820_ask

        # ACPI 3.0 lets a BIOS mark entries as not valid, by a clear bit 0 of
        # the attributes. Some never set it, or store no attributes: the bit
        # counts only where an entry of this map has it set.
# ANCHOR: e820_attributes
.Lconvert:
        mov     $E820_BASE, %esi
        xor     %r8d, %r8d              # R8D = 1: the bit counts
.Lseen: cmp     %r12d, %esi
        je      .Lrecords
        cmpl    $E820_BYTES, E820_RETURNED(%rsi)
        jb      .Lunseen
        mov     E820_ATTR(%rsi), %eax
        and     $1, %eax
        or      %eax, %r8d
.Lunseen:
        add     $E820_RECORD, %esi
        jmp     .Lseen
# ANCHOR_END: e820_attributes

# ANCHOR: e820_records
.Lrecords:
        mov     $E820_BASE, %esi
.Lrecord:
        cmp     %r12d, %esi
        je      .Lnone
        cmpl    $E820_BYTES, E820_RETURNED(%rsi)
        jb      .Lvalid
        mov     E820_ATTR(%rsi), %eax
        not     %eax
        test    %eax, %r8d              # the bit counts, and it is clear
        jnz     .Lnext
.Lvalid:call    .Lentry
.Lnext: add     $E820_RECORD, %esi
        jmp     .Lrecord
# ANCHOR_END: e820_records
# ANCHOR_END: e820

# Adds the entry at RSI: usable memory shrinks to whole frames, all else grows.
# ANCHOR: entry
.Lentry:mov     E820_FIRST(%rsi), %rax  # RAX = its first byte
        mov     E820_LENGTH(%rsi), %rdx
        test    %rdx, %rdx
        jz      .Lnone
        add     %rax, %rdx              # RDX = its end
        jnc     .Lbelow
        mov     $-1, %rdx               # 2^64 or more
.Lbelow:mov     max_frame, %edi
        mov     E820_TYPE(%rsi), %ecx
        cmp     $E820_RAM, %ecx
        je      .Lram
        cmp     $E820_LAST, %ecx
        ja      .Lunknown
        test    %ecx, %ecx              # types 2 to 5 are our kinds
        jnz     .Lgrow
.Lunknown:
        mov     $KIND_RESERVED, %ecx
# ANCHOR_END: entry
# ANCHOR: round
.Lgrow: shr     $PAGE_SHIFT, %rax
        xchg    %rax, %rdx
        call    .Lround_up
        xchg    %rax, %rdx
        jmp     .Lclip
.Lram:  call    .Lround_up
        shr     $PAGE_SHIFT, %rdx
        xor     %ecx, %ecx              # KIND_USABLE
        cmp     %rdi, %rdx
        jbe     .Lclip
        movl    $1, beyond
.Lclip: cmp     %rdi, %rax
        cmova   %rdi, %rax
        cmp     %rdi, %rdx
        cmova   %rdi, %rdx
        jmp     region_add

# RAX = address; out: the first frame that begins there or above
.Lround_up:
        add     $PAGE_BYTES - 1, %rax
        rcr     $1, %rax                # with the carry
        shr     $PAGE_SHIFT - 1, %rax
.Lnone: ret
# ANCHOR_END: round

# INT 15h AX=E801h. Out: AX KiB from 1 MiB to 16 MiB, BX blocks of 64 KiB from
# 16 MiB; or in CX and DX. CF = 1: there is none, but not all BIOSes set it.
# ANCHOR: e801
.Le801: movl    $0xe801, memory_source
        mov     $0xe801, %eax
        xor     %ebx, %ebx
        xor     %ecx, %ecx
        xor     %edx, %edx
        mov     $bios_interrupt15, %r8d
        call    bios_call
        jc      .Lnone
        test    %ax, %ax
        jnz     .Lsizes
        mov     %ecx, %eax
        mov     %edx, %ebx
.Lsizes:movzwl  %bx, %edx
        shl     $16 - PAGE_SHIFT, %edx  # 64 KiB to frames
        movzwl  %ax, %eax
        cmp     $E801_MAX, %eax         # more cannot be: an error code, or a
        ja      .Lnone                   # BIOS that does not know this call
        push    %rdx
        call    .Lfrom_1_mib
        pop     %rdx
        mov     $FRAMES_16M, %eax
        add     %eax, %edx
        mov     max_frame, %edi
        jmp     .Lclip                  # ECX = KIND_USABLE
# ANCHOR_END: e801

# INT 15h AH=88h. Out: AX KiB from 1 MiB up. Where there is no such call, not
# all BIOSes set CF: AX may be unchanged, or AH = 80h or 86h.
# ANCHOR: e88
.Lextended:
        movl    $0x88, memory_source
        mov     $0x8800, %eax
        mov     $bios_interrupt15, %r8d
        call    bios_call
        jc      .Lnone
        cmp     $0x8800, %ax
        je      .Lnone
        cmp     $0x80, %ah
        je      .Lnone
        cmp     $0x86, %ah
        je      .Lnone
        movzwl  %ax, %eax

# Adds EAX KiB from 1 MiB up as usable.
.Lfrom_1_mib:
        mov     %eax, %edx
        shr     $PAGE_SHIFT - 10, %edx  # KiB to frames
        mov     $FRAMES_1M, %eax
        add     %eax, %edx
        xor     %ecx, %ecx              # KIND_USABLE
        jmp     region_add
# ANCHOR_END: e88

# ANCHOR: messages
        .section .messages, "a"
msg_usable:
        .asciz  "\r\nmemory "
msg_mib:.asciz  " MiB"
msg_above:
        .asciz  "\r\nmemory above "
msg_ignored:
        .asciz  " GiB ignored"

        .bss
        .balign 4
        .globl  region_count, memory_source
e820_entry:
        .skip   E820_BYTES
memory_source:
        .skip   4
region_count:
        .skip   4
beyond: .skip   4                       # 1: there is usable memory left out
# ANCHOR_END: messages
