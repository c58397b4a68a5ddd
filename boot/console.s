# console.s - texts and numbers for the person at the screen
#
# Mode:      64-bit long mode
# Called by: every file from here on
# Provides:  put, put_char, put_hex, put_decimal, flush, die
# Next:      bios.s, which takes a string to stage 1's `print`; then header.s
#
# What is put is collected, and `flush` shows it: one BIOS call for a line
# instead of one for each piece of it.

# ANCHOR: uses
        .include "layout.inc"

        .set    TEXT_BYTES, 128         # no text between two flushes is longer

        .section .stage2, "ax"
        .code64
# ANCHOR_END: uses

# put - collect a string
#
# In:        ESI = string, zero-terminated
# Clobbers:  RAX, RSI, RDI
# ANCHOR: put
        .globl  put, put_char, put_hex, put_decimal, flush, die
put:    mov     text_end, %edi
.Lcopy: lodsb
        stosb
        test    %al, %al
        jnz     .Lcopy
        dec     %edi                    # without the zero
.Lput:  mov     %edi, text_end
        ret

# put_char - collect a character
#
# In:        AL = character
# Clobbers:  RDI
put_char:
        mov     text_end, %edi
        stosb
        jmp     .Lput
# ANCHOR_END: put

# put_hex - collect hexadecimal digits
#
# In:        RAX = number; ECX = how many of its lowest digits, 1..16
# Clobbers:  RAX, RCX, RDX, RDI
# ANCHOR: put_hex
put_hex:mov     %rax, %rdx
        shl     $2, %ecx                # bits
        ror     %cl, %rdx               # the first digit to the top
        shr     $2, %ecx
.Ldigit:rol     $4, %rdx
        mov     %edx, %eax
        and     $0x0f, %al
        add     $'0', %al
        cmp     $'9', %al
        jbe     .Lbelow
        add     $'A' - '9' - 1, %al
.Lbelow:call    put_char
        loop    .Ldigit
        ret
# ANCHOR_END: put_hex

# put_decimal - collect a number
#
# In:        EAX = number
# Clobbers:  RAX, RCX, RDX, RDI
# ANCHOR: put_decimal
put_decimal:
        mov     $10, %ecx
        xor     %edx, %edx
        div     %ecx
        push    %rdx                    # the last digit, after all others
        test    %eax, %eax
        jz      .Lfirst
        call    put_decimal
.Lfirst:pop     %rax
        add     $'0', %al
        jmp     put_char
# ANCHOR_END: put_decimal

# flush - show what was collected; if the image header asks for quiet, forget it
#
# Clobbers:  RAX, RBX, RCX, RDX, RBP, RSI, R8-R11
# ANCHOR: flush
flush:  mov     text_end, %esi
        movb    $0, (%rsi)
        mov     $text, %esi
        mov     %esi, text_end
        mov     $print, %r8d
        cmpl    $0, quiet
        je      bios_call
        ret
# ANCHOR_END: flush

# die - show what was collected and an error, go on to the next boot device (this
#       one is for 64-bit code; stage 1 has its own)
#
# In:        ESI = string, zero-terminated
# ANCHOR: die64
die:    call    put                     # leaves a zero after the string
        mov     $text, %esi
        mov     $die16, %r8d
        jmp     bios_call               # does not come back
# ANCHOR_END: die64

# ANCHOR: variables
text_end:                               # where the next character goes
        .long   text

        .bss
text:   .skip   TEXT_BYTES
# ANCHOR_END: variables
