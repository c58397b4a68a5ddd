# bad_bios.s - a BIOS with selectable faults
#
# Mode:      16-bit real mode
# Called by: the real BIOS, from its own disk, drive 80h. The image under test
#            is drive 81h; nothing writes to it.
# Read also: tools/tests/suite/firmware.rs, the table of faults, which sets the
#            settings below by name
#
# Reserves memory below the EBDA, as a resident program does, and hooks the BIOS
# services. Then it loads the image's sector 0 and jumps to it.
#
# In a loop, it boots the image many times, with another bit flipped in each
# boot (or other sectors, see `mutants`). When the loader gives up, INT 18h
# returns here, and the next boot starts. Each boot writes a line with its
# outcome to port 504h.

        .set    KIB,         48         # of memory to reserve
        .set    SECTORS,     KIB * 2
        .set    BDA_KIB,     0x413      # KiB below the EBDA
        .set    BDA,         0x400
        .set    BDA_TAIL,    0x41c      # of the keyboard buffer
        .set    KEY_SPACE,   0x3920
        .set    PORT_REPORT, 0x504
        .set    GARBAGE,     0xdeadbeef
        .set    FLAG_CF,     0x0001
        .set    FLAG_ZF,     0x0040
        .set    FLAG_TF,     0x0100
        .set    FLAG_IF,     0x0200
        .set    FLAG_DF,     0x0400
        .set    DR6_B1,      1          # the bit of the second breakpoint
        .set    SMAP,        0x534d4150
        .set    MSR_MISC_ENABLE, 0x1a0
        .set    MISC_XD_DISABLE_HIGH, 4
        .set    FILL,        0xa5a5a5a5 # for memory that the loader must not
                                        # change, before the mutants are booted

        # BIOS services: bits of `a20_closes`
        .set    CLOSES_DISK,   1
        .set    CLOSES_SYSTEM, 2
        .set    CLOSES_VIDEO,  4

        # The caller's CS and flags, relative to BP after `push %bp; mov %sp, %bp` in
        # a hook
        .set    AT_CS,       4
        .set    AT_FLAGS,    6

        .code16
        .text
        .globl  start
start:  cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $0x7c00, %sp
        sti
        cld
        subw    $KIB, BDA_KIB
        mov     BDA_KIB, %ax
        shl     $6, %ax
        mov     %ax, own_segment + 0x7c00
        mov     $own_packet + 0x7c00, %si
        mov     $0x42, %ah
        mov     $0x80, %dl
        int     $0x13
        jc      .
        push    own_segment + 0x7c00
        push    $main
        lret

        .balign 2
own_packet:
        .word   16, SECTORS, 0
own_segment:
        .word   0
        .quad   0

        .org    510
        .word   0xaa55

# ---- Settings: set by name; the defaults are those of a good BIOS ---------

        .globl  entry_cs, entry_dl, entry_garbage, drive, drives_hang
        .globl  lba_absent, lba_cf_only
        .globl  lba_bit_clear, lba_works, reads_fail, reads_good, reads_wrong
        .globl  sectors_max, sectors_4096, clobber, packet_changed
        .globl  geometry_none, stack_deep, interrupts_on, interrupts_off
        .globl  gdtr_changed, kib, a20_closed, a20_lies
        .globl  trap_kind, trap_port, trap_port2, e820_mode, e820_bytes
        .globl  e820_cf_end, e820_count, e820_lost, e801_mode, ext_absent
        .globl  first_sector, key_before, lba_empty, lba_from, chs_below
        .globl  geometry_zero, direction_down, a20_closes, a20_good
        .globl  e820_returned, e820_short, e820_kept, e801_ax, e801_bx, carry_kept
        .globl  mode_reported
        .globl  stack_changed, a20_slow
        .globl  segments_changed, ext_ax, kbc_full, nx_off, boot_returns
        .globl  loop_first, loop_end, loop_list, table
        .globl  mutants, mutant_checksums, mutant_elf
entry_cs:       .word   0       # CS when the image is entered
entry_dl:       .word   0x80    # DL when the image is entered
entry_garbage:  .word   0       # all other registers hold garbage then, and so
                                # does memory from 7E00h on; DF is set, and the
                                # stack is ours
first_sector:   .word   0       # the sector of the image to load and enter
key_before:     .word   0       # a key was pressed before the image is entered
drive:          .word   0x80    # the drive number that the image answers to
drives_hang:    .word   0       # calls for other drives do not return
lba_absent:     .word   0       # AH=41h and AH=42h fail
lba_cf_only:    .word   0       # AH=41h reports LBA in CF, not in BX and CX
lba_bit_clear:  .word   0       # AH=41h succeeds, but bit 0 of CX is clear
lba_works:      .word   0xffff  # only this many AH=42h reads work
lba_empty:      .word   0       # AH=42h reports success, but reads nothing
lba_from:       .word   0       # AH=42h fails for sectors before this one
chs_below:      .word   0xffff  # AH=02h fails for this sector and later ones
reads_fail:     .word   0       # this many reads fail at first
reads_good:     .word   0       # this many reads return correct data,
reads_wrong:    .word   0       # then this many return wrong data, but no error
sectors_max:    .word   127     # calls for more sectors fail
sectors_4096:   .word   0       # the drive has sectors of 4096 bytes
clobber:        .word   0       # calls change every register that they may
packet_changed: .word   0       # reads change the count in the address packet
geometry_none:  .word   0       # AH=08h: 1: reports success, but no sectors;
                                # 2: fails
geometry_zero:  .word   0       # AH=08h fails unless ES:DI = 0:0
stack_deep:     .word   0       # calls use 4 KiB of stack
interrupts_on:  .word   0       # calls return with IF set
interrupts_off: .word   0       # calls return with IF clear
direction_down: .word   0       # calls return with DF set
segments_changed: .word 0       # calls change DS and ES
stack_changed:  .word   0       # calls change the upper half of ESP
gdtr_changed:   .word   0       # calls change GDTR
kib:            .word   0       # the result of INT 12h; 0: unchanged
a20_closed:     .word   0       # the gate is closed when the image is entered
a20_lies:       .word   0       # INT 15h AX=2401h only reports success
a20_slow:       .word   0       # INT 15h AX=2401h opens it only this many
                                # instructions later
a20_closes:     .word   0       # these services close the gate at their end,
a20_good:       .word   0       # after this many reads
trap_port:      .word   0       # trap accesses to this port,
trap_port2:     .word   0       # and to this one
trap_kind:      .word   0       # 1: close the gate; 2: report a busy UART,
                                # 3: a busy keyboard controller, 4: none;
                                # 5: as 1, but the second port opens it
                                # `a20_slow` instructions later
kbc_full:       .word   0       # it has a byte for us that nobody has read
e820_mode:      .word   0       # 1: use the table below; 2: unsupported
e820_bytes:     .word   24      # the bytes of an entry that are written
e820_returned:  .word   24      # the length that ECX reports
e820_short:     .word   0xffff  # the entry for which ECX reports 20
e820_kept:      .word   0xffff  # the entry whose attributes are not written
e820_cf_end:    .word   0       # CF, not EBX = 0, marks the end
e820_count:     .word   0       # entries in the table
e820_lost:      .word   0xffff  # the entry for which EAX is not SMAP
e801_mode:      .word   0       # 1: results in CX and DX only; 2: unsupported;
                                # 3: AX = BX = 0, and CX and DX are not changed;
                                # 4: results in AX and BX only
e801_ax:        .word   0       # the result in AX and CX; 0: unchanged
e801_bx:        .word   0       # the result in BX and DX; 0: unchanged
ext_absent:     .word   0       # AH=88h is unsupported
ext_ax:         .word   0       # its result; 0: unchanged
carry_kept:     .word   0       # E801 and AH=88h leave CF unchanged
nx_off:         .word   0       # NX is switched off, as in a firmware setup; at
                                # the end the report says whether it still is
mode_reported:  .word   0       # the report says which mode the BIOS is told
boot_returns:   .word   0       # INT 18h returns, as nothing else can boot; the
                                # report says that it was called
loop_first:     .long   0       # the first boot; its number is the bit to flip
loop_end:       .long   0       # end (exclusive) of the numbers; 0: no loop
loop_list:      .word   0       # the numbers are indexes of a table of bits
mutants:        .word   0       # flip no bits: in boot n, the nth group of four
                                # sectors after this program replaces sectors 0
                                # and 1,
mutant_checksums: .long 0       # this one,
mutant_elf:     .long   0       # and this one of the image

        .balign 4
old10:          .long   0
old13:          .long   0
old15:          .long   0
old16:          .long   0
old18:          .long   0
number:         .long   0       # of this boot
slow:           .word   0       # instructions before the gate opens
flip:           .long   0       # the bit of the image to flip in it
reads:          .word   0       # so far, in this boot
lba_reads:      .word   0
column:         .word   0       # of `line`
line:           .fill   64, 1, 0 # what the loader printed last, or its error
                .fill   512, 1, 0
entry_stack:                    # grows down from here
wrong_gdt:      .word   0xffff, 0x5678, 0x1234
packet:         .word   16, 1, 0x7c00, 0
                .quad   0
mutant_packet:  .word   16, 4, mutant, 0
                .quad   0

# ---- Hooks ----------------------------------------------------------------

main:   mov     %cs, %ax
        mov     %ax, %ds
        xor     %ax, %ax
        mov     %ax, %es
        .macro  hook vector, routine, old
        mov     %es:\vector * 4, %eax
        mov     %eax, \old
        movw    $\routine, %es:\vector * 4
        mov     %cs, %es:\vector * 4 + 2
        .endm
        cli
        hook    0x10, hook10, old10
        hook    0x13, hook13, old13
        hook    0x15, hook15, old15
        cmpw    $0, mutants
        je      .Lfilled
        push    %es
        mov     $0x600 >> 4, %ax
        mov     $(0x1000 - 0x600) / 4, %cx
        call    fill
        mov     $0x3600, %ax
.Lfill: mov     $0x1000 / 4, %cx
        call    fill
        add     $0x100, %ax
        cmp     $0x8000, %ax
        jne     .Lfill
        pop     %es
.Lfilled:
        cmpw    $0, entry_garbage
        je      .Lzero
        push    %es
        mov     $0x7e00 >> 4, %ax
.Lsector:
        mov     $512 / 4, %cx
        call    fill
        add     $512 >> 4, %ax
        cmp     $0x36000 >> 4, %ax
        jne     .Lsector
        pop     %es
.Lzero:
        mov     direction_down, %ax
        or      segments_changed, %ax
        jz      .Lno_hook16
        hook    0x16, hook16, old16
.Lno_hook16:
        cmpw    $0, boot_returns
        je      .Lno_hook18
        hook    0x18, boots_nothing, old18
.Lno_hook18:
        cmpl    $0, loop_end
        je      .Lhooked
        hook    0x16, hook16, old16
        hook    0x18, hook18, old18
        mov     $0x34, %al              # the timer at 2 kHz: the loader waits
        out     %al, $0x43              # for a tick before it looks for a key
        mov     $600 & 0xff, %al
        out     %al, $0x40
        mov     $600 >> 8, %al
        out     %al, $0x40
.Lhooked:
        sti
        mov     kib, %ax
        test    %ax, %ax
        jz      .Lkib
        mov     %ax, %es:BDA_KIB
.Lkib:  mov     trap_kind, %ax
        or      a20_slow, %ax
        jz      .Lno_trap
        movw    $trap, %es:1 * 4
        mov     %cs, %es:1 * 4 + 2
        cmpw    $0, trap_kind
        je      .Lno_trap
        movzwl  trap_port, %eax
        mov     %eax, %dr0
        movzwl  trap_port2, %eax
        mov     %eax, %dr1
        mov     %cr4, %eax
        or      $8, %eax                # CR4.DE: breakpoints on I/O
        mov     %eax, %cr4
        mov     $0x0022070a, %eax       # DR7: G0, G1; R/W = 10b: I/O
        mov     %eax, %dr7
.Lno_trap:
        mov     loop_first, %eax
        mov     %eax, number

again:  xor     %ax, %ax
        mov     %ax, %ss
        mov     $0x7c00, %sp
        sti
        mov     %cs, %ax
        mov     %ax, %ds
        mov     number, %eax
        cmpw    $0, loop_list
        je      .Lbit
        mov     table(, %eax, 4), %eax
.Lbit:  mov     %eax, flip
        movw    $0, reads
        movw    $0, lba_reads
        movw    $0, column
        movb    $0, line
        movzwl  first_sector, %eax
        mov     %eax, packet + 8
        mov     $packet, %si
        mov     $0x42, %ah
        mov     $0x81, %dl
        pushf
        lcall   *old13
        jc      .
        mov     $0x7c00 >> 4, %ax
        mov     %ax, %es
        xor     %di, %di
        xor     %eax, %eax
        mov     $1, %ecx
        call    flip_bit
        call    mutate
        xor     %ax, %ax
        mov     %ax, %es
        cmpw    $0, a20_closed
        je      .Lopen
        in      $0x92, %al
        and     $~2, %al
        out     %al, $0x92
.Lopen: cmpw    $0, kbc_full
        je      .Lempty
        in      $0x21, %al              # without its interrupt, nobody reads it
        or      $2, %al
        out     %al, $0x21
        mov     $0x20, %al              # the command byte, please
        out     %al, $0x64
.Lempty:cmpw    $0, nx_off
        je      .Lnx
        mov     $MSR_MISC_ENABLE, %ecx
        rdmsr
        or      $MISC_XD_DISABLE_HIGH, %edx
        wrmsr
.Lnx:   cmpw    $0, key_before
        je      .Lno_key
        mov     %es:BDA_TAIL, %bx
        movw    $KEY_SPACE, %es:BDA(%bx)
        add     $2, %bx
        cmp     $0x3e, %bx              # the end of the buffer
        jne     .Ltail
        mov     $0x1e, %bx
.Ltail: mov     %bx, %es:BDA_TAIL
.Lno_key:
        mov     $0x7c00, %bx            # 0000:7C00 or 07C0:0000
        mov     entry_cs, %ax
        mov     %ax, %cx
        shl     $4, %cx
        sub     %cx, %bx
        mov     entry_dl, %dl
        cmpw    $0, entry_garbage
        jne     .Lstrange
        push    %ax
        push    %bx
        xor     %ax, %ax
        mov     %ax, %ds
        lret
.Lstrange:
        mov     %cs, %cx
        mov     %cx, %ss
        mov     $entry_stack, %sp
        push    %ax
        push    %bx
        mov     $GARBAGE, %eax
        mov     %eax, %ebx
        mov     %eax, %ecx
        mov     %eax, %edx
        mov     entry_dl, %dl
        mov     %eax, %esi
        mov     %eax, %edi
        mov     %eax, %ebp
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %fs
        mov     %ax, %gs
        std
        lret

# Fills CX dwords from AX:0 on. Clobbers CX, DI, ES.
fill:   push    %eax
        mov     %ax, %es
        xor     %di, %di
        mov     $FILL, %eax
        rep stosl
        pop     %eax
        ret

# Flips the bit of this boot if it is in the sectors at ES:DI. EAX = first
# sector, ECX = count.
flip_bit:
        cmpl    $0, %cs:loop_end
        je      .Lnone
        cmpw    $0, %cs:mutants
        jne     .Lnone
        pushal
        push    %es
        mov     %cs:flip, %ebx
        mov     %ebx, %edx
        shr     $12, %edx               # the sector of the bit
        sub     %eax, %edx
        jb      .Lelsewhere
        cmp     %ecx, %edx
        jae     .Lelsewhere
        shl     $5, %dx                 # sectors to paragraphs
        mov     %es, %ax
        add     %dx, %ax
        mov     %ax, %es
        mov     %bl, %cl
        and     $7, %cl
        mov     $1, %al
        shl     %cl, %al
        shr     $3, %bx
        and     $511, %bx
        add     %di, %bx
        xor     %al, %es:(%bx)
.Lelsewhere:
        pop     %es
        popal
.Lnone: ret

# Reads the four sectors of this boot from our own disk. The first one replaces
# the image's sector 0 in memory. DS = CS, ES:0 = 0000:7C00.
mutate: cmpw    $0, mutants
        je      .Lnone
        mov     number, %eax
        shl     $2, %eax
        add     $SECTORS, %eax
        mov     %eax, mutant_packet + 8
        mov     %cs, mutant_packet + 6
        mov     $mutant_packet, %si
        mov     $0x42, %ah
        mov     $0x80, %dl
        pushf
        lcall   *old13
        jc      .
        mov     $mutant, %si
        xor     %di, %di
        mov     $512 / 4, %cx
        rep movsl
        ret

# Replaces sector EBX of the image with the one at SI if it is in the sectors at
# ES:DI. EAX = first sector, ECX = count.
replace:cmpw    $0, %cs:mutants
        je      .Lnone
        pushal
        push    %es
        push    %ds
        sub     %eax, %ebx
        jb      .Lnot_here
        cmp     %ecx, %ebx
        jae     .Lnot_here
        shl     $5, %bx
        mov     %es, %ax
        add     %bx, %ax
        mov     %ax, %es
        mov     %cs, %ax
        mov     %ax, %ds
        mov     $512 / 4, %cx
        rep movsl
.Lnot_here:
        pop     %ds
        pop     %es
        popal
        ret

# INT 10h, video. In a loop, `line` holds the last line that was printed. Once
# it holds an error, later lines do not replace it.
hook10: movb    $CLOSES_VIDEO, %cs:service
        cmpl    $0, %cs:loop_end
        jne     .Lrecord
        pushf
        lcall   *%cs:old10
        cmpw    $0, %cs:clobber
        je      leave
        mov     $GARBAGE, %eax
        mov     %eax, %ebp
        mov     %eax, %ecx
        mov     %eax, %edx
        jmp     leave
.Lrecord:
        cmp     $0x0e, %ah
        jne     leave
        push    %bx
        cmp     $'\r', %al
        jne     .Lletter
        movw    $60, %cs:column
        cmpb    $'E', %cs:line
        je      .Lput
        movw    $0, %cs:column
.Lletter:
        cmp     $' ', %al
        jb      .Lput
        mov     %cs:column, %bx
        cmp     $60, %bx
        jae     .Lput
        mov     %al, %cs:line(%bx)
        movb    $0, %cs:line + 1(%bx)
        incw    %cs:column
.Lput:  pop     %bx
        # fall through

# Returns to the caller, with the faults that are common to all services.
leave:  push    %bp
        mov     %sp, %bp
        cmpw    $0, %cs:stack_deep
        je      .Lshallow
        push    %cx
        mov     $4096 / 2, %cx
.Luse_stack:
        push    $0x5a5a
        loop    .Luse_stack
        lea     -2(%bp), %sp
        pop     %cx
.Lshallow:
        cmpw    $0, %cs:interrupts_on
        je      .Lflags
        orw     $FLAG_IF, AT_FLAGS(%bp)
.Lflags:cmpw    $0, %cs:interrupts_off
        je      .Lgdtr
        andw    $~FLAG_IF, AT_FLAGS(%bp)
.Lgdtr: cmpw    $0, %cs:direction_down
        je      .Lup
        orw     $FLAG_DF, AT_FLAGS(%bp)
.Lup:   push    %ax
        mov     %cs:service, %al
        test    %al, %cs:a20_closes
        jz      .Lgate
        mov     %cs:reads, %ax
        cmp     %cs:a20_good, %ax
        jbe     .Lgate
        in      $0x92, %al
        and     $~3, %al
        out     %al, $0x92
.Lgate: pop     %ax
        cmpw    $0, %cs:gdtr_changed
        je      .Lleft
        lgdtl   %cs:wrong_gdt
.Lleft: cmpw    $0, %cs:segments_changed
        je      .Lsegments
        mov     $0x9999, %bp
        mov     %bp, %ds
        mov     %bp, %es
.Lsegments:
        cmpw    $0, %cs:stack_changed
        je      .Lstack
        or      $GARBAGE & 0xffff0000, %esp
.Lstack:
        pop     %bp
        iret

# The same with CF = 1; `refuse` also sets AH = 01h, invalid function.
refuse: mov     $0x01, %ah
failure:push    %bp
        mov     %sp, %bp
        orw     $FLAG_CF, AT_FLAGS(%bp)
        pop     %bp
        cmpw    $0, %cs:clobber
        je      leave
        mov     $GARBAGE, %ebx
        mov     %ebx, %ecx
        mov     %ebx, %edx
        mov     %ebx, %esi
        mov     %ebx, %edi
        mov     %ebx, %ebp
        jmp     leave
success:push    %bp
        mov     %sp, %bp
        andw    $~FLAG_CF, AT_FLAGS(%bp)
        pop     %bp
        jmp     leave

# INT 13h, disk.
hook13: movb    $0, %cs:service
        cmp     %cs:drive, %dl
        je      .Ldrive
        cmpw    $0, %cs:drives_hang     # there is no such drive
        je      refuse
        jmp     .
.Ldrive:
        mov     $0x81, %dl
        mov     %ah, %cs:function
        cmp     $0x42, %ah
        je      .Llba
        cmp     $0x02, %ah
        je      .Lchs
        cmp     $0x41, %ah
        jne     .Lgeometry_fails
        cmpw    $0, %cs:lba_absent
        jne     refuse
        cmpw    $0, %cs:lba_cf_only
        jne     success
.Lgeometry_fails:
        cmpw    $2, %cs:geometry_none
        jne     .Lgeometry_works
        cmp     $0x08, %ah
        je      refuse
.Lgeometry_works:
        cmpw    $0, %cs:geometry_zero
        je      .Lcall_bios
        cmp     $0x08, %ah
        jne     .Lcall_bios
        push    %ax
        mov     %es, %ax
        or      %di, %ax
        pop     %ax
        jnz     refuse
.Lcall_bios:
        pushf
        lcall   *%cs:old13
        jc      failure
        cmpw    $0, %cs:lba_bit_clear
        je      .Lgeometry
        cmpb    $0x41, %cs:function
        jne     .Lgeometry
        and     $~1, %cx
.Lgeometry:
        cmpw    $0, %cs:geometry_none
        je      .Lcalled
        cmpb    $0x08, %cs:function
        jne     .Lcalled
        and     $~0x3f, %cl
.Lcalled:
        cmpw    $0, %cs:clobber
        je      success
        mov     $GARBAGE, %esi
        mov     %esi, %ebp
        cmpb    $0x41, %cs:function     # garbage in registers without a result,
        je      .Lresults               # and in the high halves of the others
        cmpb    $0x08, %cs:function
        jne     .Lno_results
        push    %si
        pop     %es
.Lresults:
        or      $GARBAGE & 0xffff0000, %ecx
        or      $GARBAGE & 0xffff0000, %ebx
        mov     %esi, %edi
        cmpb    $0x08, %cs:function
        je      .Lresults_dx
        mov     %esi, %edx
.Lresults_dx:
        or      $GARBAGE & 0xffff0000, %edx
        jmp     success
.Lno_results:
        mov     %esi, %ebx
        mov     %esi, %ecx
        mov     %esi, %edx
        mov     %esi, %edi
        mov     $GARBAGE & 0xffff00ff, %eax
        jmp     success

.Llba:  cmpw    $0, %cs:lba_absent
        jne     refuse
        movb    $CLOSES_DISK, %cs:service
        cmpw    $0, %cs:lba_empty
        jne     success
        incw    %cs:lba_reads
        push    %ax
        mov     %cs:lba_works, %ax
        cmp     %ax, %cs:lba_reads
        pop     %ax
        ja      .Lerror
        push    %ax                     # count and destination
        mov     2(%si), %ax
        mov     %ax, %cs:count
        mov     4(%si), %ax
        mov     %ax, %cs:offset
        mov     6(%si), %ax
        mov     %ax, %cs:segment
        pop     %ax
        pushl   8(%si)
        popl    %cs:sector
        push    %eax
        movzwl  %cs:lba_from, %eax
        cmp     %eax, %cs:sector
        pop     %eax
        jb      .Lerror
        call    .Lread_fails
        jc      .Lerror
        cmpw    $0, %cs:sectors_4096    # its sectors are eight of 512 bytes
        je      .L512
        shlw    $3, 2(%si)
        shll    $3, 8(%si)
.L512:  pushf
        lcall   *%cs:old13
        jc      failure
        cmpw    $0, %cs:packet_changed
        je      .Lread
        movw    $0, 2(%si)
.Lread: call    .Lchange_data
        jmp     .Lcalled

.Lchs:  cmpw    $0, %cs:sectors_4096    # such a drive has no geometry
        jne     .Lerror
        movb    $CLOSES_DISK, %cs:service
        cmpw    $0xffff, %cs:chs_below
        je      .Lchs_read
        test    %ch, %ch                # `chs_below` is on the first track
        jnz     .Lerror
        test    %dh, %dh
        jnz     .Lerror
        push    %cx
        dec     %cx
        cmp     %cs:chs_below, %cx
        pop     %cx
        jae     .Lerror
.Lchs_read:
        push    %ax
        xor     %ah, %ah
        mov     %ax, %cs:count
        pop     %ax
        mov     %bx, %cs:offset
        mov     %es, %cs:segment
        movl    $-1, %cs:sector         # bits are flipped in LBA reads only
        call    .Lread_fails
        jc      .Lerror
        pushf
        lcall   *%cs:old13
        jc      failure
        call    .Lchange_data
        jmp     .Lcalled
.Lerror:mov     $0x80, %ah              # timeout
        jmp     failure

# Decides whether this read fails. Out: CF = 1: it fails
.Lread_fails:
        pushal
        incw    %cs:reads
        mov     %cs:reads, %ax
        cmp     %ax, %cs:reads_fail
        jae     .Lforbidden
        mov     %cs:count, %ax
        cmp     %ax, %cs:sectors_max
        jb      .Lforbidden
        movzwl  %cs:segment, %eax       # DMA cannot cross 64 KiB
        shl     $4, %eax
        movzwl  %cs:offset, %ebx
        add     %ebx, %eax
        movzx   %ax, %eax
        movzwl  %cs:count, %ebx
        shl     $9, %ebx
        add     %ebx, %eax
        cmp     $0x10000, %eax
        ja      .Lforbidden
        popal
        clc
        ret
.Lforbidden:
        popal
        stc
        ret

# Changes the data of a read, if a setting requires it.
.Lchange_data:
        pushal
        push    %es
        mov     %cs:segment, %es
        mov     %cs:offset, %di
        mov     %cs:sector, %eax
        movzwl  %cs:count, %ecx
        call    flip_bit
        mov     $1, %ebx
        mov     $mutant + 512, %si
        call    replace
        mov     %cs:mutant_checksums, %ebx
        mov     $mutant + 1024, %si
        call    replace
        mov     %cs:mutant_elf, %ebx
        mov     $mutant + 1536, %si
        call    replace
        mov     %cs:reads, %ax
        sub     %cs:reads_good, %ax
        jbe     .Lgood
        cmp     %cs:reads_wrong, %ax
        ja      .Lgood
        xorb    $0x10, %es:100(%di)
.Lgood: pop     %es
        popal
        ret

# INT 15h, system.
hook15: movb    $CLOSES_SYSTEM, %cs:service
        cmp     $0xe820, %ax
        je      .Le820
        cmp     $0xe801, %ax
        je      .Le801
        cmp     $0x88, %ah
        je      .Lextended
        cmp     $0x2401, %ax
        je      .La20
        cmp     $0xec00, %ax
        je      .Lready
.Lpass: pushf
        lcall   *%cs:old15
        jc      failure
        jmp     .Lgarbage

# The loader's last call before it starts the kernel. In a loop, only one boot
# in sixteen starts it, because QEMU must be restarted after that.
.Lready:
        cmpw    $0, %cs:mode_reported
        je      .Lno_mode
        pushal
        mov     $mode_64, %si
        cmp     $2, %bl
        je      .Lmode_is
        mov     $mode_other, %si
.Lmode_is:
        call    report
        popal
.Lno_mode:
        cmpw    $0, %cs:nx_off
        je      .Lnot_asked
        pushal
        mov     $MSR_MISC_ENABLE, %ecx
        rdmsr
        mov     $nx_is_on, %si
        test    $MISC_XD_DISABLE_HIGH, %edx
        jz      .Lnx_is
        mov     $nx_is_off, %si
.Lnx_is:call    report
        popal
.Lnot_asked:
        cmpl    $0, %cs:loop_end
        je      .Lpass
        testb   $15, %cs:number
        jz      .Lpass
        jmp     hook18

.La20:  movb    $0, %cs:service
        cmpw    $0, %cs:a20_lies
        jne     success
        push    %bp
        mov     %sp, %bp
        call    open_later
        pop     %bp
        jnz     success
        pushf
        lcall   *%cs:old15
.Lgarbage:
        cmpw    $0, %cs:clobber
        je      success
        mov     $GARBAGE, %ecx
        mov     %ecx, %edx
        mov     %ecx, %esi
        mov     %ecx, %edi
        mov     %ecx, %ebp
        jmp     success

.Le801: cmpw    $2, %cs:e801_mode
        je      .Lunknown
        cmpw    $3, %cs:e801_mode
        je      .Lno_sizes
        pushf
        lcall   *%cs:old15
        jc      failure
        cmpw    $0, %cs:e801_ax
        je      .Lsizes
        mov     %cs:e801_ax, %ax
        mov     %ax, %cx
.Lsizes:cmpw    $0, %cs:e801_bx
        je      .Lblocks
        mov     %cs:e801_bx, %bx
        mov     %bx, %dx
.Lblocks:
        cmpw    $1, %cs:e801_mode
        je      .Lno_sizes
        cmpw    $4, %cs:e801_mode
        jne     .Lsized
        xor     %cx, %cx
        xor     %dx, %dx
        jmp     .Lsized
.Lno_sizes:
        xor     %ax, %ax
        xor     %bx, %bx
.Lsized:cmpw    $0, %cs:clobber         # the results are the lower halves
        je      .Lhalves
        or      $GARBAGE & ~0xffff, %eax
        or      $GARBAGE & ~0xffff, %ebx
        or      $GARBAGE & ~0xffff, %ecx
        or      $GARBAGE & ~0xffff, %edx
.Lhalves:
        cmpw    $0, %cs:carry_kept
        jne     leave
        jmp     success
.Lextended:
        cmpw    $0, %cs:ext_absent
        jne     .Lunknown
        pushf
        lcall   *%cs:old15
        jc      failure
        cmpw    $0, %cs:ext_ax
        je      .Lsized
        mov     %cs:ext_ax, %ax
        jmp     .Lsized
.Lunknown:
        cmpw    $0, %cs:carry_kept
        je      .Lunsupported
        mov     $0x86, %ah
        jmp     leave
.Lunsupported:
        mov     $0x86, %ah
        jmp     failure

.Le820: cmpw    $2, %cs:e820_mode
        je      .Lunsupported
        cmpw    $1, %cs:e820_mode
        je      .Lours
        pushf
        lcall   *%cs:old15
        jc      failure
        jmp     .Le820_garbage
.Lours: cmp     %cs:e820_count, %bx
        jae     .Lunsupported
        mov     %ebx, %eax
        imul    $24, %bx, %si
        add     $table, %si
        mov     %cs:e820_bytes, %cx
        cmp     %cs:e820_kept, %bx
        jne     .Lwhole
        mov     $20, %cx
.Lwhole:push    %di
.Lcopy: mov     %cs:(%si), %dl
        mov     %dl, %es:(%di)
        inc     %si
        inc     %di
        loop    .Lcopy
        pop     %di
        movzwl  %cs:e820_returned, %ecx
        cmp     %cs:e820_short, %bx
        jne     .Llong
        mov     $20, %cx
.Llong: inc     %ebx
        cmp     %cs:e820_lost, %ax
        mov     $SMAP, %eax
        jne     .Lsmap
        xor     %eax, %eax
.Lsmap: cmp     %cs:e820_count, %bx
        jne     .Le820_garbage
        cmpw    $0, %cs:e820_cf_end
        jne     .Le820_garbage
        xor     %ebx, %ebx
.Le820_garbage:
        cmpw    $0, %cs:clobber
        je      success
        mov     $GARBAGE, %edx
        mov     %edx, %esi
        mov     %edx, %edi
        mov     %edx, %ebp
        jmp     success

# INT 16h, keyboard. In a loop, a key is always waiting. After the key is read,
# the next call that looks for a key finds none.
hook16: cmpl    $0, %cs:loop_end
        jne     .Lkey
        movb    $0, %cs:service
        pushf
        lcall   *%cs:old16
        push    %ax                     # ZF is a result
        push    %bp
        mov     %sp, %bp
        lahf
        mov     %ah, AT_FLAGS + 2(%bp)
        pop     %bp
        pop     %ax
        jmp     leave
.Lkey:  push    %bp
        mov     %sp, %bp
        andw    $~FLAG_ZF, AT_FLAGS(%bp)
        test    $0x0f, %ah              # AH=00h and 10h read the key
        jnz     .Llook
        movb    $1, %cs:key_read
        jmp     .Lkey_waits
.Llook: cmpb    $0, %cs:key_read
        je      .Lkey_waits
        movb    $0, %cs:key_read
        orw     $FLAG_ZF, AT_FLAGS(%bp)
        jmp     .Lno_key_waits
.Lkey_waits:
        mov     $KEY_SPACE, %ax
.Lno_key_waits:
        pop     %bp
        iret

# INT 18h, boot failure, if nothing else can boot.
boots_nothing:
        pusha
        mov     $boot_failed, %si
        call    report
        popa
        iret

# Writes the string at CS:SI to the report. Clobbers AL, DX, SI.
report: mov     $PORT_REPORT, %dx
.Lreport:
        mov     %cs:(%si), %al
        test    %al, %al
        jz      .Lnone
        out     %al, %dx
        inc     %si
        jmp     .Lreport
nx_is_on:       .asciz  "NX on\n"
nx_is_off:      .asciz  "NX off\n"
mode_64:        .asciz  "64-bit mode\n"
mode_other:     .asciz  "another mode\n"
boot_failed:    .asciz  "INT 18h\n"

# INT 18h, boot failure, in a loop: reports the outcome; starts the next boot.
hook18: mov     %cs, %ax
        mov     %ax, %ds
        cld
        mov     $PORT_REPORT, %dx
        mov     number, %ebx
        mov     $8, %cx
.Ldigit:rol     $4, %ebx
        mov     %bl, %al
        and     $0x0f, %al
        cmp     $10, %al
        jb      .Lbelow
        add     $'a' - '0' - 10, %al
.Lbelow:add     $'0', %al
        out     %al, %dx
        loop    .Ldigit
        mov     $' ', %al
        out     %al, %dx
        mov     $line, %si
.Lletters:
        lodsb
        test    %al, %al
        jz      .Lreported
        out     %al, %dx
        jmp     .Lletters
.Lreported:
        mov     $'\n', %al
        out     %al, %dx
        incl    number
        mov     number, %eax
        cmp     loop_end, %eax
        jb      again
        mov     $'.', %al
        out     %al, %dx
        cli
        hlt

# With `a20_slow`, opens the gate so many instructions later: the caller is traced until
# then. BP as for AT_FLAGS. Out: ZF = 1: without `a20_slow`. Clobbers the other flags.
open_later:
        push    %ax
        mov     %cs:a20_slow, %ax
        mov     %ax, %cs:slow
        test    %ax, %ax
        jz      .Lat_once
        orw     $FLAG_TF, AT_FLAGS(%bp)
.Lat_once:
        pop     %ax
        ret

# INT 1, debug: the last instruction accessed a trapped port, or was traced.
trap:   push    %eax
        push    %ebx
        mov     %dr7, %ebx
        xor     %eax, %eax
        mov     %eax, %dr7
        push    %bp
        lea     8(%esp), %bp            # past EAX and EBX
        cmpw    $5, %cs:trap_kind
        jne     .Ltraced
        mov     %dr6, %eax
        btr     $DR6_B1, %eax
        jnc     .Ltraced
        mov     %eax, %dr6
        mov     %cs, %ax
        cmp     %ax, AT_CS(%bp)
        je      .Ltraced                # our own access
        call    open_later
        jmp     .Lclose
.Ltraced:
        cmpw    $0, %cs:slow
        je      .Laccessed
        decw    %cs:slow
        jnz     .Ldone
        in      $0x92, %al
        and     $~1, %al
        or      $2, %al
        out     %al, $0x92
        andw    $~FLAG_TF, AT_FLAGS(%bp)
        jmp     .Ldone
.Laccessed:
        cmpw    $5, %cs:trap_kind
        je      .Lclose
        cmpw    $1, %cs:trap_kind
        jne     .Luart
.Lclose:in      $0x92, %al
        and     $~3, %al
        out     %al, $0x92
.Ldone: pop     %bp
        mov     %ebx, %dr7
        pop     %ebx
        pop     %eax
        iret
.Luart: pop     %bp
        mov     %ebx, %dr7
        pop     %ebx
        pop     %eax
        cmpw    $2, %cs:trap_kind
        jne     .Lkeyboard
        and     $~0x20, %al             # the line status that was read: busy
        iret
.Lkeyboard:
        or      $2, %al                 # the controller's status: input full
        cmpw    $3, %cs:trap_kind
        je      .Lcontroller
        mov     $0xff, %al              # or what an absent device answers
.Lcontroller:
        iret

        .balign 4
sector: .long   0
count:  .word   0
offset: .word   0
segment:.word   0
function:
        .byte   0
service:.byte   0                       # in progress: a bit of `a20_closes`
key_read:
        .byte   0

# The entries of E820, or the bits to flip, up to the end of our memory. Mutants
# need 1024 bytes at most; their sectors follow.
        .balign 4
table:  .set    mutant, table + 1024
        .org    SECTORS * 512
