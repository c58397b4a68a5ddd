//! The serial line COM1, as the loader initialized it.

use crate::port;
use core::fmt::{self, Arguments, Write};

const COM1_DATA: u16 = 0x3f8;
const COM1_LINE_STATUS: u16 = COM1_DATA + 5;
const TRANSMITTER_EMPTY: u8 = 1 << 5;

/// How often to poll: longer than a byte takes at 9,600 baud. The machine may
/// have no such port.
const POLLS_MAX: u32 = 100_000;

struct Serial;

impl Serial {
    fn send(&mut self, byte: u8) {
        for _ in 0..POLLS_MAX {
            if port::read_u8(COM1_LINE_STATUS) & TRANSMITTER_EMPTY != 0 {
                break;
            }
        }
        port::write_u8(COM1_DATA, byte);
    }
}

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.send(byte.max(b' ')); // no line breaks within a line
        }
        Ok(())
    }
}

/// Sends one line.
pub fn line(line: Arguments) {
    let mut serial = Serial;
    let _ = serial.write_fmt(line); // never fails
    serial.send(b'\r');
    serial.send(b'\n');
}
