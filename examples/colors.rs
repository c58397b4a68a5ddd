//! The sixteen colours of the VGA palette.
//!
//! `cargo run --example colors` shows each colour, from black to white, on each
//! of the eight that can be a background. A colour has four bits: blue, green,
//! red, and intensity; a background has no intensity bit.

#![no_std]
#![no_main]

use core::fmt::Write;
use siso_os::vga::{self, Color, Writer};
use siso_os::{BootInfo, cpu, exceptions, println, serial_println};

#[rustfmt::skip]
const COLORS: [Color; 16] = [
    Color::Black, Color::Blue, Color::Green, Color::Cyan,
    Color::Red, Color::Magenta, Color::Brown, Color::LightGray,
    Color::DarkGray, Color::LightBlue, Color::LightGreen, Color::LightCyan,
    Color::LightRed, Color::LightMagenta, Color::Yellow, Color::White,
];
const BACKGROUNDS: usize = 8;

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    vga::clear();
    println!("Sixteen colours on eight:\n");
    for foreground in COLORS {
        for background in &COLORS[..BACKGROUNDS] {
            let mut writer = Writer::new(foreground, *background);
            let _ = write!(writer, " sample "); // never fails
        }
        println!(" {foreground:?}");
    }
    serial_println!("the colours are on the screen");
    cpu::halt()
}
