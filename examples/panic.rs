//! A kernel that panics.
//!
//! `cargo run --example panic` shows the place and the message, in white on red
//! and on the serial line. Rust checks each index; C would read what lies behind
//! the array.

#![no_std]
#![no_main]

use core::hint::black_box;
use siso_os::{BootInfo, cpu, exceptions, println, vga};

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    vga::clear();
    let numbers = [1, 2, 3];
    let index = black_box(3); // not known when this is compiled
    println!("Number {index} of {numbers:?}:");
    println!("{}", numbers[index]);
    cpu::halt()
}
