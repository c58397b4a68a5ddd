# memory.s - ask the BIOS what memory there is
#
# Mode:      16-bit real mode
# Called by: stage2.s
# Provides:  memory_low, memory_read, region_count, memory_source
# Read also: regions.s, which makes a clean map of it
#
# A region is three 32-bit numbers: first frame, frame behind the last, kind.
# What lies above `frames_known`, 4 TiB mostly, is left out: one entry that is
# wrong would cost minutes and gigabytes of page tables.

        .include "layout.inc"

        .set    SMAP,        0x534d4150 # "SMAP"
        .set    E820_BASE,   0
        .set    E820_LENGTH, 8
        .set    E820_TYPE,   16
        .set    E820_ATTR,   20
        .set    E820_BYTES,  24
        .set    E820_RAM,    1
        .set    E820_LAST,   5          # types above are unknown: reserved

        .section .stage2, "ax"
        .code16

# memory_low - stop unless the memory below the EBDA holds all that we use
#
# Out:       the memory from there to 1 MiB is in the list, as reserved
# Clobbers:  EAX, EBX, EDX, SI, DI
        .globl  memory_low
memory_low:
        movw    $0, region_count
        int     $0x12                   # INT 12h. Out: AX = KiB below the EBDA
        cmp     $LOW_MEMORY_END / 1024, %ax
        mov     $msg_low, %si
        jb      die
        cmp     $640, %ax               # more cannot be true
        jbe     .Llow
        mov     $640, %ax
.Llow:  movzx   %ax, %eax
        shr     $2, %eax                # KiB to frames
        mov     %eax, low_end
        mov     $ONE_MIB / PAGE_BYTES, %edx
        mov     $KIND_RESERVED, %ebx

# region_add - put a region into the list
#
# In:        EAX first frame; EDX frame behind the last; EBX kind
# Clobbers:  DI
        .globl  region_add
region_add:
        cmp     %edx, %eax
        jae     .Lempty                 # holds nothing
        imul    $REGION_BYTES, region_count, %di
        mov     %eax, REGIONS_BASE(%di)
        mov     %edx, REGIONS_BASE + 4(%di)
        mov     %ebx, REGIONS_BASE + 8(%di)
        incw    region_count
.Lempty:ret

# memory_read - fill the list with what E820 says, else E801, else AH=88h
#
# Out:       memory_source = 0xE820, 0xE801 or 0x88
# Clobbers:  all
# ANCHOR: e820
        .globl  memory_read
memory_read:
        movl    $0xe820, memory_source
        movw    $REGIONS_BIOS, e820_left
        xor     %ebx, %ebx
.Lentry:
        movl    $1, e820_entry + E820_ATTR      # for BIOSes that fill 20 bytes
        mov     $0xe820, %eax           # INT 15h AX=E820h. In: EBX = 0 or what
        mov     $SMAP, %edx             # it returned, ES:DI buffer, ECX size
        mov     $E820_BYTES, %ecx       # Out: EAX = SMAP, EBX = 0 at the end;
        mov     $e820_entry, %di        # CF = 1: none, or behind the end.
        int     $0x15                   # EDX and ESI may change
        jc      .Lend
        cmp     $SMAP, %eax
        jne     .Lolder                 # nothing it said can be trusted
        testb   $1, e820_entry + E820_ATTR      # ACPI: clear = ignore it
        jz      .Lskip
        push    %ebx
        call    .Lconvert
        pop     %ebx
.Lskip: test    %ebx, %ebx
        jz      .Lend
        decw    e820_left
        jnz     .Lentry
        mov     $msg_dropped, %si       # there are more: say so
        call    print_line
.Lend:  cmpw    $2, region_count        # one of them is ours
        jae     .Ldone
# ANCHOR_END: e820

.Lolder:
        movw    $1, region_count        # ours stays
        xor     %eax, %eax
        mov     low_end, %edx
        xor     %ebx, %ebx              # KIND_USABLE
        call    region_add
        movw    $0xe801, memory_source
        mov     $0xe801, %ax            # INT 15h AX=E801h. Out: CF; AX KiB
        xor     %cx, %cx                # from 1 MiB to 16 MiB, BX blocks of
        xor     %dx, %dx                # 64 KiB from 16 MiB; or in CX and DX
        int     $0x15
        jc      .Loldest
        test    %ax, %ax
        jnz     .Lsizes
        xchg    %cx, %ax
        xchg    %dx, %bx
.Lsizes:
        movzx   %bx, %edx
        shl     $4, %edx                # 64 KiB to frames
        push    %edx
        call    .Lextended
        pop     %edx
        mov     $16 * ONE_MIB / PAGE_BYTES, %eax
        add     %eax, %edx
        call    region_add
        cmpw    $3, region_count
        jae     .Ldone
.Loldest:
        movw    $0x88, memory_source
        mov     $0x88, %ah              # INT 15h AH=88h. Out: CF; AX KiB from
        int     $0x15                   # 1 MiB up
        jc      .Lnone
        call    .Lextended
        cmpw    $3, region_count
        jae     .Ldone
.Lnone: mov     $msg_memory, %si
        jmp     die

.Ldone: mov     $msg_usable, %si
        call    print_line
        mov     $REGIONS_BASE, %si
        mov     region_count, %cx
        xor     %eax, %eax              # EAX = usable frames
.Lsum:  cmpl    $KIND_USABLE, 8(%si)
        jne     .Lused
        add     4(%si), %eax
        sub     (%si), %eax
.Lused: add     $REGION_BYTES, %si
        loop    .Lsum
        shr     $8, %eax
        call    print_decimal
        mov     $msg_mib, %si
        jmp     print

# Adds AX KiB from 1 MiB up as usable.
.Lextended:
        movzx   %ax, %edx
        shr     $2, %edx
        mov     $ONE_MIB / PAGE_BYTES, %eax
        add     %eax, %edx
        xor     %ebx, %ebx              # KIND_USABLE
        jmp     region_add

# Adds the E820 entry: usable memory shrinks to whole frames, all else grows.
.Lconvert:
        mov     e820_entry + E820_TYPE, %ebx
        mov     $PAGE_BYTES - 1, %ecx
        dec     %ebx                    # our numbers: 0 for RAM,
        jz      .Lbounds
        inc     %ebx                    # the types' own up to 5,
        cmp     $E820_LAST, %ebx
        ja      .Lother
        test    %ebx, %ebx
        jnz     .Lgrow
.Lother:mov     $KIND_RESERVED, %ebx    # reserved for what we do not know
.Lgrow: xor     %ecx, %ecx
.Lbounds:                               # ECX: what the start is rounded with
        mov     e820_entry + E820_BASE, %eax
        mov     e820_entry + E820_BASE + 4, %edx
        push    %eax
        push    %edx
        add     %ecx, %eax
        adc     $0, %edx
        sbb     %edi, %edi              # beyond 2^64? Then there is nothing
        call    .Lframe
        or      %edi, %eax
        mov     %eax, %esi
        pop     %edx
        pop     %eax
        xor     $PAGE_BYTES - 1, %ecx   # the end is rounded the other way
        add     %ecx, %eax
        adc     $0, %edx
        add     e820_entry + E820_LENGTH, %eax
        adc     e820_entry + E820_LENGTH + 4, %edx
        jc      .Lhuge
        call    .Lframe
        jmp     .Ladd
.Lhuge: mov     frames_known, %eax
.Ladd:  xchg    %eax, %edx
        mov     %esi, %eax
        jmp     region_add

# EDX:EAX = address; out: EAX = its frame, at most `frames_known`
.Lframe:shrd    $12, %edx, %eax
        shr     $12, %edx
        jnz     .Lfar
        cmp     frames_known, %eax
        jb      .Lfits
.Lfar:  mov     frames_known, %eax
.Lfits: ret

        .section .messages, "a"
msg_usable:
        .asciz  "memory "
msg_mib:.asciz  " MiB"

        .bss
        .balign 4
        .globl  region_count, memory_source, low_end
e820_entry:
        .skip   E820_BYTES
memory_source:
        .skip   4
low_end:.skip   4                       # the first frame that the BIOS keeps
region_count:
        .skip   2
e820_left:
        .skip   2
