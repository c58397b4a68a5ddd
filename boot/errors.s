# errors.s - every failure of stage 2: its code and its sentence
#
# Used by:   die in stage1.s, which has E1 and E2 itself for want of room
# Read also: docs/errors.md: what each means and what to try

        .section .messages, "a"

        .globl  msg_low, msg_cpu, msg_a20, msg_memory, msg_many, msg_wrong
        .globl  msg_elf, msg_segment, msg_entry, msg_wx, msg_space
msg_low:        .asciz  "E3 less than 216 KiB of low memory"
msg_cpu:        .asciz  "E4 this CPU has no 64-bit mode"
msg_a20:        .asciz  "E5 the A20 gate stays closed"
msg_memory:     .asciz  "E6 the BIOS tells of no memory"
msg_many:       .asciz  "E7 too many memory regions"
msg_wrong:      .asciz  "E8 wrong data on the disk"
msg_elf:        .asciz  "E9 the kernel is no x86-64 ELF executable"
msg_segment:    .asciz  "E10 a kernel segment cannot be loaded"
msg_entry:      .asciz  "E11 the kernel's entry is in no code"
msg_wx:         .asciz  "E12 a kernel page is writable and executable"
msg_space:      .asciz  "E13 not enough memory for the kernel"
