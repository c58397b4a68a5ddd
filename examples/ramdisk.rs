//! The boot modules: a command line and a ramdisk.
//!
//! `cargo run --example ramdisk -- --command-line "a text" --ramdisk README.md`

#![no_std]
#![no_main]

use siso_os::{BootInfo, cpu, exceptions, println, serial_println, vga};

/// How many lines of the ramdisk are shown.
const ROWS: usize = 6;

#[unsafe(no_mangle)]
extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    vga::clear();
    println!("command line: {}", boot_info.command_line());

    let ramdisk = boot_info.ramdisk();
    if ramdisk.is_empty() {
        println!("no ramdisk");
        cpu::halt();
    }
    println!("ramdisk: {} bytes", ramdisk.len());
    for line in ramdisk.split(|&byte| byte == b'\n').take(ROWS) {
        println!("  {}", str::from_utf8(line).unwrap_or("(not text)"));
    }

    let address = ramdisk.as_ptr();
    serial_println!("ramdisk: {} bytes at {address:p}", ramdisk.len());
    cpu::halt()
}
