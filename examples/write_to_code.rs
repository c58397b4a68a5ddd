//! A kernel that writes to its own code.
//!
//! `cargo run --example write_to_code` ends in a page fault: the page may be
//! executed, so it may not be written. A kernel that can be changed by a
//! stray pointer would do anything at all, much later.

#![no_std]
#![no_main]

use siso_os::{BootInfo, exceptions, println};

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    let code = _start as *const () as *mut u8;
    println!("Writing to the code at {code:p}:");
    // SAFETY: nothing is written, the CPU refuses to.
    unsafe { code.write_volatile(0) }
    panic!("the code was written to");
}
