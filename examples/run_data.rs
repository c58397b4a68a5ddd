//! A kernel that executes data.
//!
//! `cargo run --example run_data` ends in a page fault: the page is writable, so
//! it is not executable. This is how a CPU rejects code that an attacker has
//! injected as data.

#![no_std]
#![no_main]

use core::mem::transmute;
use core::sync::atomic::AtomicU8;
use siso_os::{BootInfo, exceptions, println};

/// The instruction `ret`, in an atomic so that it is in writable memory.
static RET: AtomicU8 = AtomicU8::new(0xc3);

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    let data = RET.as_ptr();
    println!("Executing the data at {data:p}:");
    // SAFETY: if it were executed, `ret` would return at once.
    let function: extern "C" fn() = unsafe { transmute(data) };
    function();
    panic!("this CPU does not support NX: it executes data");
}
