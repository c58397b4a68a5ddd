//! A minimal kernel: no linker script, no other crate, at the address that
//! rust-lld chooses.

#![no_std]
#![no_main]
#![allow(clippy::empty_loop)] // as many first kernels have it

use core::panic::PanicInfo;

#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let vga_buffer = 0xb8000 as *mut u8;
    for (i, &byte) in b"Hello World!".iter().enumerate() {
        // SAFETY: the loader identity-maps the screen, writable.
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
