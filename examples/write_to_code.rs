//! A kernel that writes to its own code.
//!
//! `cargo run --example write_to_code` ends in a page fault: the page is
//! executable, so it is not writable. If a stray pointer could overwrite the
//! code, the kernel would fail much later and in unpredictable ways.

#![no_std]
#![no_main]

use siso_os::{BootInfo, exceptions, println};

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    let code = _start as *const () as *mut u8;
    println!("Writing to the code at {code:p}:");
    // SAFETY: the CPU faults before anything is written.
    unsafe { code.write_volatile(0) }
    panic!("the code was overwritten");
}
