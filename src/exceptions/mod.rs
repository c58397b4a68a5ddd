//! Exceptions: how the CPU reports an instruction that it cannot execute.
//!
//! The CPU looks up a handler in a table and passes it the address of the
//! instruction and, for some exceptions, an error code (Intel SDM volume 3A,
//! chapter 6). [`init`] installs the tables; from then on, an exception is shown
//! in plain English instead of resetting the machine. Reading order: `tables`,
//! `entry`, this module, `decode`.

mod decode;
mod entry;
mod tables;

use crate::once_cell::OnceCell;
use crate::panic::show_and_halt;
use crate::serial_println;

/// The number of exception vectors.
pub const COUNT: usize = 32;
/// Vector of the breakpoint exception, after which the kernel continues.
pub const BREAKPOINT: u64 = 3;
/// Vector of the double fault: an exception while another was being delivered.
pub const DOUBLE_FAULT: u64 = 8;
/// Vector of the page fault.
pub const PAGE_FAULT: u64 = 14;

/// The state of the CPU at an exception, as it is on the stack.
///
/// `Display` describes the exception in plain English: eleven rows of up to 80
/// characters.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Exception {
    /// The address whose access caused the last page fault; stale for other
    /// exceptions.
    pub cr2: u64,
    /// RAX, RBX, RCX, RDX, RSI, RDI, RBP, and R8 to R15.
    pub registers: [u64; 15],
    /// The vector, which identifies the exception: 0 to 31.
    pub vector: u64,
    /// The error code, whose meaning depends on the vector; 0 if there is none.
    pub error_code: u64,
    /// Address of the instruction or of the next one, depending on the vector
    /// (Intel SDM volume 3A, 6.15).
    pub rip: u64,
    /// The code segment's selector.
    pub cs: u64,
    /// The flags.
    pub rflags: u64,
    /// The stack pointer.
    pub rsp: u64,
    /// The stack segment's selector.
    pub ss: u64,
}

static HOOK: OnceCell<fn(&Exception)> = OnceCell::new();

/// Installs the exception handlers.
pub fn init() {
    tables::load();
}

/// Sets a function to call before an exception other than a breakpoint is shown.
/// The function need not return: tests exit QEMU from it. Panics if a hook is
/// already set.
pub fn set_hook(hook: fn(&Exception)) {
    HOOK.set(hook);
}

/// Called by `entry`; returns only if the kernel can continue.
extern "C" fn handle(exception: &Exception) {
    if exception.vector == BREAKPOINT {
        serial_println!("breakpoint (#BP), continuing at {:#x}", exception.rip);
        return;
    }
    if let Some(hook) = HOOK.get() {
        hook(exception);
    }
    show_and_halt(exception)
}
