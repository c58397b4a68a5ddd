//! Row 0 of the text screen, which the loader leaves to the kernel.

use core::fmt::{self, Arguments, Write};

/// The address of text memory.
pub const ADDRESS: u64 = 0xb8000;

/// Characters per row; each has two bytes: code and colours.
pub const COLUMNS: usize = 80;

const LIGHT_CYAN: u8 = 0x0b;

/// The row, with the number of characters written so far.
struct Row(usize);

impl Row {
    fn put(&mut self, byte: u8) {
        if self.0 < COLUMNS {
            let cell = (ADDRESS as *mut [u8; 2]).wrapping_add(self.0);
            // SAFETY: the loader identity-maps the screen, writable.
            unsafe { cell.write_volatile([byte, LIGHT_CYAN]) }
            self.0 += 1;
        }
    }
}

impl Write for Row {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.put(byte.max(b' '));
        }
        Ok(())
    }
}

/// Replaces the row; text that does not fit is cut off.
pub fn line(line: Arguments) {
    let mut row = Row(0);
    let _ = row.write_fmt(line); // never fails
    while row.0 < COLUMNS {
        row.put(b' ');
    }
}
