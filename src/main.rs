//! The kernel: prints a greeting to the screen and the serial line, then halts.
//!
//! The loader jumps to `_start` in 64-bit mode; see its `boot/start_kernel.s`.

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
