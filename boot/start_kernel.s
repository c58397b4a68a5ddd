# start_kernel.s - the last BIOS calls, the kernel's page tables, the jump
#
# Mode:      64-bit long mode
# Called by: stage2.s
# Provides:  start_kernel; switch_end (the linker script)
# Next:      the kernel: src/main.rs

# ANCHOR: uses
        .include "layout.inc"
        .include "cpu.inc"
        .include "elf.inc"
        .include "pc.inc"

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# start_kernel - make the last BIOS calls and start the kernel
#
# ANCHOR: start_kernel
# ANCHOR: last_line
        .globl  start_kernel
start_kernel:
        mov     $msg_entry_point, %esi
        call    put
        mov     ELF_BASE + E_ENTRY, %rax
        mov     $16, %ecx
        call    put_hex
        mov     $msg_newline, %esi
        call    put
        call    flush
# ANCHOR_END: last_line
# ANCHOR: screen
        testb   $FEATURE_CRATE, features
        jz      .Lscreen_left
        mov     $0x0003, %eax           # INT 10h AH=00h: mode 3, 80x25 text, as
        testb   $FEATURE_VGA, features  # before; it clears the screen. Or
        jz      .Lmode
        mov     $0x13, %al              # mode 13h, 320x200, 256 colours
.Lmode: mov     $bios_interrupt10, %r8d
        call    bios_call
        mov     $TEXT_BASE, %edi        # the crate clears half of a text screen
        xor     %eax, %eax              # once more: black on black, where the
        mov     $80 * 25 / 8, %ecx      # cursor does not show
        rep stosq
.Lscreen_left:
# ANCHOR_END: screen
# ANCHOR: last_calls
        mov     $0xec00, %eax           # INT 15h AX=EC00h: tell the BIOS that
        mov     $2, %ebx                # the kernel runs in 64-bit mode (AMD
        mov     $bios_interrupt15, %r8d # publication 26094); it may not know
        call    bios_call               # this call

        cmpb    $0x80, boot_drive       # a floppy's motor would run on: the
        jae     .Lno_floppy             # BIOS's timer interrupt is gone
        mov     $PORT_FLOPPY_DOR, %edx
        xor     %eax, %eax
        out     %al, %dx
.Lno_floppy:
        jmp     .Lswitch
# ANCHOR_END: last_calls
# ANCHOR_END: start_kernel

# All code from here on lies in one page (boot.ld asserts it), with the
# descriptors. The kernel's page tables map that page where it is, to read and to
# execute; it stays in use, for the descriptors and for the halt loop of a kernel
# that returns. (The fields read below are in the first MiB, which both sets of
# page tables map to itself.)
# ANCHOR: switch_section
        .section .switch, "ax"
# ANCHOR_END: switch_section
# ANCHOR: switch
# ANCHOR: tables
.Lswitch:
        mov     page_root, %eax
        mov     %rax, %cr3              # the kernel's address space
        mov     $CR4_PAE, %eax
        mov     %cr0, %rdx
        and     $CR0_ET | CR0_NE, %edx  # as found
        or      $CR0_PE | CR0_WP | CR0_PG, %edx
        testb   $FEATURE_SSE, features
        jz      .Lno_sse
        or      $CR4_OSFXSR | CR4_OSXMMEXCPT, %eax
        or      $CR0_MP, %edx
.Lno_sse:
        mov     %rax, %cr4
        mov     %rdx, %cr0
# ANCHOR_END: tables

# ANCHOR: null
        xor     %eax, %eax              # null selectors: of our descriptors, the
        mov     %eax, %ds               # kernel depends on that of CS only
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        lldt    %ax
        xor     %edx, %edx
        mov     $MSR_FS_BASE, %ecx
        wrmsr
        inc     %ecx                    # MSR_GS_BASE
        wrmsr
        inc     %ecx                    # MSR_KERNEL_GS
        wrmsr
        out     %al, $PORT_CMOS         # NMIs may come again
        in      $PORT_CMOS_DATA, %al
# ANCHOR_END: null

# ANCHOR: jump
        mov     info_address, %rdi      # RDI = boot info
        mov     stack_guard + 8, %rsp   # the stack's last byte,
        inc     %rsp                    # and the end of the stack
        push    $kernel_returned
        push    $RFLAGS_1               # IF = DF = 0, and the bit that is always 1
        popf
        jmp     *ELF_BASE + E_ENTRY

kernel_returned:
        cli
        hlt
        jmp     kernel_returned
# ANCHOR_END: jump
# ANCHOR_END: switch
# ANCHOR: end
        .globl  switch_end
switch_end:

        .section .messages, "a"
msg_entry_point:
        .asciz  "\r\nlong mode, entry "
# ANCHOR_END: end
