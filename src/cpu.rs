//! Instructions that have no equivalent in Rust.
//!
//! The names are those of the manuals: Intel SDM volume 3A, section 2.5 for
//! the control registers and 2.3 for RFLAGS; AMD APM volume 2, section 3.1.

use core::arch::asm;

/// The MSR "extended feature enables": long mode, no-execute pages.
const MSR_EFER: u32 = 0xc000_0080;

/// Halts this CPU permanently: interrupts are disabled, so only an NMI or a
/// reset can wake it, and after an NMI it halts again.
pub fn halt() -> ! {
    loop {
        // SAFETY: neither instruction touches memory or the stack.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}

/// Raises a breakpoint exception, and returns if a handler is installed; see
/// [`exceptions`](crate::exceptions).
pub fn breakpoint() {
    // SAFETY: the handler preserves every register.
    unsafe { asm!("int3") }
}

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        pub fn $name() -> u64 {
            let value;
            // SAFETY: reading the register has no side effects.
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
    /// CR2: the address whose access caused the last page fault.
    cr2;
    /// CR3: the physical address of the PML4, and two flags.
    cr3;
    /// CR4: the CPU extensions that are enabled.
    cr4;
}

/// EFER: long mode, no-execute pages, `syscall`.
pub fn efer() -> u64 {
    // SAFETY: the CPU is in long mode, so it has EFER.
    unsafe { read_msr(MSR_EFER) }
}

/// RFLAGS: the arithmetic flags, the interrupt flag, the direction flag.
pub fn rflags() -> u64 {
    let value;
    // SAFETY: the pushed value is popped again.
    unsafe { asm!("pushfq", "pop {}", out(reg) value, options(preserves_flags)) }
    value
}

/// Reads a model-specific register (Intel SDM volume 4 lists them).
///
/// # Safety
///
/// The CPU must have this register; otherwise it raises a general protection
/// fault.
pub unsafe fn read_msr(number: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: RDMSR accesses no memory; the caller guarantees that the MSR
    // exists.
    unsafe {
        asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high,
            options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}
