//! An unhandled exception resets the machine; the runner must report it.

#![no_std]
#![no_main]

use core::arch::asm;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    support::say(format_args!("about to fault"));
    // SAFETY: execution ends here, because the loader's interrupt table is empty.
    unsafe { asm!("ud2", options(noreturn)) }
}
