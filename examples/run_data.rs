//! A kernel that executes what is only data.
//!
//! `cargo run --example run_data` ends in a page fault: the page may be written,
//! so it may not be executed. That is how a CPU refuses code that an attacker
//! has sent as data.

#![no_std]
#![no_main]

use core::mem::transmute;
use core::sync::atomic::AtomicU8;
use siso_os::{BootInfo, exceptions, println};

/// The instruction `ret`; an atomic number lies in memory that may be written.
static RET: AtomicU8 = AtomicU8::new(0xc3);

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    let data = RET.as_ptr();
    println!("Executing the data at {data:p}:");
    // SAFETY: if it were executed, it would come back at once, as `ret` does.
    let function: extern "C" fn() = unsafe { transmute(data) };
    function();
    panic!("this CPU has no NX: it executes data");
}
