//! A kernel that panics.
//!
//! `cargo run --example panic` shows the location and the message, on the screen
//! in white on red and on the serial line. Rust checks each index; C would read
//! past the end of the array.

#![no_std]
#![no_main]

use core::hint::black_box;
use siso_os::{BootInfo, cpu, exceptions, println, vga};

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    vga::clear();
    let numbers = [1, 2, 3];
    let index = black_box(3); // unknown to the compiler
    println!("Number {index} of {numbers:?}:");
    println!("{}", numbers[index]);
    cpu::halt()
}
