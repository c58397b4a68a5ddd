//! The entry points of the exception handlers.
//!
//! The CPU pushes SS, RSP, RFLAGS, CS, RIP and, for some exceptions, an error
//! code (Intel SDM volume 3A, 6.14.2). Each entry pushes a zero if there is
//! none, then the vector; `common` pushes the registers. The stack then holds an
//! [`Exception`].

use super::{COUNT, Exception, handle};
use core::arch::naked_asm;

/// Bit n: the CPU pushes an error code for vector n (Intel SDM volume 3A,
/// table 6-1; AMD APM volume 2, 8.2 for 29 and 30).
const WITH_ERROR_CODE: u32 = 1 << 8 | 0b11111 << 10 | 1 << 17 | 1 << 21 | 1 << 29 | 1 << 30;
/// Bytes from one entry to the next: enough for the longest.
const ENTRY_BYTES: u64 = 16;

/// The address of a vector's entry.
pub fn address(vector: usize) -> u64 {
    let first = (entries as *const () as u64).next_multiple_of(ENTRY_BYTES);
    first + ENTRY_BYTES * vector as u64
}

/// All entries, one after another.
#[unsafe(naked)]
unsafe extern "C" fn entries() {
    naked_asm!(
        ".set .Lvector, 0",
        ".rept {count}",
        ".balign {bytes}",
        ".if !({with_error_code} >> .Lvector & 1)",
        "pushq $0",
        ".endif",
        "pushq $.Lvector",
        "jmp {common}",
        ".set .Lvector, .Lvector + 1",
        ".endr",
        count = const COUNT,
        bytes = const ENTRY_BYTES,
        with_error_code = const WITH_ERROR_CODE,
        common = sym common,
        options(att_syntax), // in Intel syntax, the name could be taken for an address
    )
}

#[unsafe(naked)]
unsafe extern "C" fn common() {
    naked_asm!(
        "push r15",
        "push r14",
        "push r13",
        "push r12",
        "push r11",
        "push r10",
        "push r9",
        "push r8",
        "push rbp",
        "push rdi",
        "push rsi",
        "push rdx",
        "push rcx",
        "push rbx",
        "push rax",
        "mov rax, cr2",
        "push rax",
        "mov rdi, rsp",  // the argument: &Exception
        "sub rsp, 8",    // a call needs RSP to be a multiple of 16
        "cld",           // and the direction flag to be clear
        "call {handle}",
        "add rsp, 16",   // the padding, and CR2
        "pop rax",
        "pop rbx",
        "pop rcx",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "pop rbp",
        "pop r8",
        "pop r9",
        "pop r10",
        "pop r11",
        "pop r12",
        "pop r13",
        "pop r14",
        "pop r15",
        "add rsp, 16",   // vector and error code
        "iretq",
        handle = sym handle,
    )
}

// The layout that `common` relies on.
const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(offset_of!(Exception, registers) == 8);
    assert!(offset_of!(Exception, vector) == 8 + 15 * 8);
    // The CPU aligns the stack to 16 bytes before it pushes.
    assert!((size_of::<Exception>() + 8).is_multiple_of(16));
};
