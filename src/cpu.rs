//! Instructions that Rust has no word for.
//!
//! The names are those of the manuals: Intel SDM volume 3A, chapter 2.5 for
//! the control registers, 2.3 for RFLAGS; AMD APM volume 2, chapter 3.1.

use core::arch::asm;

/// The MSR "extended feature enables": long mode, no-execute pages.
const MSR_EFER: u32 = 0xc000_0080;

/// Stops this CPU for good, without burning power: nothing wakes it, as
/// interrupts are off and stay off.
pub fn halt() -> ! {
    loop {
        // SAFETY: neither instruction touches memory or the stack.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}

/// Calls the handler of the breakpoint exception, and comes back if there is
/// one; see [`exceptions`](crate::exceptions).
pub fn breakpoint() {
    // SAFETY: the handler leaves every register as it was.
    unsafe { asm!("int3") }
}

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        pub fn $name() -> u64 {
            let value;
            // SAFETY: reading the register changes nothing.
            unsafe {
                asm!(concat!("mov {}, ", stringify!($name)), out(reg) value,
                    options(nomem, nostack, preserves_flags));
            }
            value
        })*
    };
}

registers! {
    /// CR0: protection, paging, caches, the FPU.
    cr0;
    /// CR2: the address that the last page fault was about.
    cr2;
    /// CR3: the physical address of the level-4 page table, and two bits.
    cr3;
    /// CR4: the extensions that are switched on.
    cr4;
}

/// EFER: long mode, no-execute pages, `syscall`.
pub fn efer() -> u64 {
    // SAFETY: there is no long mode without EFER, and we are in long mode.
    unsafe { read_msr(MSR_EFER) }
}

/// RFLAGS: the flags of arithmetic, interrupts, the direction of strings.
pub fn rflags() -> u64 {
    let value;
    // SAFETY: what is pushed is popped again.
    unsafe { asm!("pushfq", "pop {}", out(reg) value, options(preserves_flags)) }
    value
}

/// Reads a model-specific register (Intel SDM volume 4 lists them).
///
/// # Safety
///
/// A CPU that does not have it answers with a general protection fault.
pub unsafe fn read_msr(number: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: RDMSR touches no memory; that there is such an MSR, the caller
    // knows.
    unsafe {
        asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high,
            options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}
