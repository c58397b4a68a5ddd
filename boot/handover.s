# handover.s - the last steps before the kernel
#
# Mode:      16-bit real mode; 64-bit long mode for what is prepared
# Called by: stage2.s
# Provides:  handover
# Read also: long.s, where it ends

        .include "layout.inc"
        .include "elf.inc"

        .section .stage2, "ax"
        .code16

# handover - prepare everything, say good-bye to the BIOS, start the kernel
#
# ANCHOR: handover
        .globl  handover
handover:
        mov     $.Lprepare, %bx
        call    hop
        xchg    %ax, %si
        test    %si, %si
        jnz     die

        cmpl    $0, map_dropped
        je      .Lwhole
        mov     $msg_dropped, %si
        call    print_line
.Lwhole:cmpl    $0, allow_wx
        je      .Lstrict
        mov     $msg_wx_allowed, %si
        call    print_line
.Lstrict:
        mov     $msg_long, %si
        call    print_line
        mov     ELF_BASE + E_ENTRY + 4, %eax
        mov     $8, %cx
        call    print_hex
        mov     ELF_BASE + E_ENTRY, %eax
        mov     $8, %cx
        call    print_hex
        mov     $msg_end, %si
        call    print_line

        mov     $0xec00, %ax            # INT 15h AX=EC00h: tell the BIOS that
        mov     $2, %bl                 # we go to 64-bit mode (AMD 26094); it
        int     $0x15                   # may not know the call
        jmp     long_enter
# ANCHOR_END: handover

        .code64
.Lprepare:
        mov     $.Lclear, %ebp
        call    each_segment
        mov     frame_next, %eax
        mov     %eax, stack_frame
        add     stack_pages, %eax
        mov     %eax, info_frame
        mov     %eax, frame_next
        call    page_zeroed
        call    paging_build
        call    info_fill
        jc      .Lret
        xor     %eax, %eax
.Lret:  ret

# Clears what the segment has in memory only: .bss, to the byte.
.Lclear:mov     P_PADDR(%rbx), %rdi
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

        .section .messages, "a"
        .globl  msg_dropped
msg_dropped:
        .asciz  "memory map simplified"
msg_wx_allowed:
        .asciz  "warning: writable code"
msg_long:
        .asciz  "long mode, entry "
msg_end:.asciz  ""
