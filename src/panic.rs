//! What a panic shows: its place and its message, on both channels.

use crate::vga::{Color, Writer};
use crate::{cpu, serial_println};
use core::fmt::Write;
use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    serial_println!("\n{info}");
    let _ = writeln!(Writer::new(Color::White, Color::Red), "\n{info}"); // it never fails
    cpu::rest()
}
