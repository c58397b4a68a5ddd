//! The kernel: says hello on the screen and on the serial line, then rests.
//!
//! The loader has just jumped to `_start`; its `boot/long.s` shows in what state.

#![no_std]
#![no_main]

use siso_os::{BootInfo, cpu, exceptions, println, serial_println};

/// The entry point, named in `linker.ld`.
///
/// Called with the C calling convention, so the boot info comes in RDI.
#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    println!("Hello World!");

    let usable: u64 = boot_info.usable().map(|region| region.bytes()).sum();
    serial_println!(
        "Hello World! This is the kernel, with {} MiB of memory",
        usable >> 20
    );

    cpu::halt()
}
