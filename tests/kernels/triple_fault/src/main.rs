//! An exception that nobody takes resets the machine: the runner must say so.

#![no_std]
#![no_main]

use core::arch::asm;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    support::say(format_args!("about to fault"));
    // SAFETY: it ends here: the interrupt table is empty, as the loader left it.
    unsafe { asm!("ud2", options(noreturn)) }
}
