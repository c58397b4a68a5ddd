//! A first kernel: twenty lines that need only `core`.
//!
//! `cargo run --example hello` boots it.

#![no_std]
#![no_main]
#![allow(clippy::empty_loop)] // the shortest way to stop here

use core::panic::PanicInfo;

#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let vga_buffer = 0xb8000 as *mut u8;
    for (i, &byte) in b"Hello World!".iter().enumerate() {
        // SAFETY: the loader mapped the screen's memory, and the 24 bytes fit.
        unsafe {
            *vga_buffer.offset(i as isize * 2) = byte;
            *vga_buffer.offset(i as isize * 2 + 1) = 0xb;
        }
    }
    loop {}
}

#[panic_handler]
fn panic(_info: &PanicInfo) -> ! {
    loop {}
}
