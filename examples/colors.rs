//! The sixteen colours of the VGA's palette.
//!
//! `cargo run --example colors` shows each one, from black to white, on the eight
//! that may be a background. A colour is four bits: blue, green, red, and light;
//! a background has no bit for light.

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
            let _ = write!(writer, " sample "); // it never fails
        }
        println!(" {foreground:?}");
    }
    serial_println!("the colours are on the screen");
    cpu::halt()
}
