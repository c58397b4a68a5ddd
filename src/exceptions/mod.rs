//! Exceptions: what the CPU does when an instruction cannot be executed.
//!
//! It looks into a table which function to call, and tells it the place and an
//! error code (Intel SDM volume 3A, chapter 6). [`init`] gives it tables; from
//! then on, an exception is shown in plain words instead of resetting the
//! machine. Reading order: `tables`, `entry`, this, `decode`.

mod decode;
mod entry;
mod tables;

use crate::once_cell::OnceCell;
use crate::panic::last_words;
use crate::serial_println;

/// How many vectors there are for exceptions.
pub const COUNT: usize = 32;
/// Vector of the breakpoint exception: the kernel goes on behind it.
pub const BREAKPOINT: u64 = 3;
/// Vector of the double fault: an exception while another one was delivered.
pub const DOUBLE_FAULT: u64 = 8;
/// Vector of the page fault.
pub const PAGE_FAULT: u64 = 14;

/// What is known when an exception has happened, as it lies on the stack.
///
/// Displayed, it says what was tried, in plain words: eleven rows of up to
/// 80 characters.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Exception {
    /// The address that the last page fault was about; for other exceptions,
    /// it is an old one.
    pub cr2: u64,
    /// RAX, RBX, RCX, RDX, RSI, RDI, RBP, and R8 to R15.
    pub registers: [u64; 15],
    /// Which exception: 0 to 31.
    pub vector: u64,
    /// More about it, different for each vector; 0 where the CPU tells none.
    pub error_code: u64,
    /// Address of the instruction, or of the one behind it: the manual tells,
    /// by vector (Intel SDM volume 3A, 6.15).
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

/// From now on, exceptions are caught.
pub fn init() {
    tables::load();
}

/// Sets a function that is called before an exception is shown, but not for a
/// breakpoint. It need not come back: tests leave QEMU from there. Panics if
/// there is one already.
pub fn set_hook(hook: fn(&Exception)) {
    HOOK.set(hook);
}

/// Called by `entry`; comes back only if the kernel can go on.
extern "C" fn handle(exception: &Exception) {
    if exception.vector == BREAKPOINT {
        serial_println!("breakpoint (#BP), going on at {:#x}", exception.rip);
        return;
    }
    if let Some(hook) = HOOK.get() {
        hook(exception);
    }
    last_words(exception)
}
