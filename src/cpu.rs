//! Instructions that Rust has no word for.

use core::arch::asm;

/// Stops this CPU for good, without burning power: nothing wakes it, as
/// interrupts are off and stay off.
pub fn rest() -> ! {
    loop {
        // SAFETY: neither instruction touches memory or the stack.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}
