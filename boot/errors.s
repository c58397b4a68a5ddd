# errors.s - every failure of stage 2: its code and its message
#
# Used by:   die (console.s) and die16 (stage2.s). Stage 1 has E1 and E2 itself
# Next:      docs/errors.md: what each means and what to try

# ANCHOR: messages
        .section .messages, "a"

        .globl  msg_read, msg_low, msg_cpu, msg_a20, msg_memory, msg_many
        .globl  msg_wrong, msg_elf, msg_segment, msg_entry, msg_wx, msg_space
        .globl  msg_header, msg_key, msg_newline, msg_simplified, msg_wx_allowed
msg_read:       .asciz  "\r\nE1 disk read"
msg_low:        .asciz  "\r\nE3 less than 216 KiB of low memory"
msg_cpu:        .asciz  "\r\nE4 this CPU has no 64-bit mode"
msg_a20:        .asciz  "\r\nE5 the A20 gate stays closed"
msg_memory:     .asciz  "\r\nE6 the BIOS reports no memory"
msg_many:       .asciz  "\r\nE7 too many memory regions"
msg_wrong:      .asciz  "\r\nE8 wrong data on the disk"
msg_elf:        .asciz  "\r\nE9 the kernel is not an x86-64 ELF executable"
msg_segment:    .asciz  "\r\nE10 a kernel segment cannot be loaded"
msg_entry:      .asciz  "\r\nE11 the entry point is not executable"
msg_wx:         .asciz  "\r\nE12 a kernel page is writable and executable"
msg_space:      .asciz  "\r\nE13 not enough memory for the kernel"
msg_header:     .asciz  "\r\nE14 the image header is invalid"
# ANCHOR_END: messages

# Not errors: shown after each error, or while booting.
# ANCHOR: texts
msg_key:        .ascii  "\r\npress a key"
msg_newline:    .asciz  "\r\n"
msg_simplified: .asciz  "\r\nmemory map simplified"
msg_wx_allowed: .asciz  "\r\nwarning: writable code"
# ANCHOR_END: texts
