//! The screen: VGA text mode, 80x25 characters.
//!
//! Each character takes two bytes in text memory: its code, then its colours.
//! The loader sets this mode, identity-maps the memory, and leaves row 0 to the
//! kernel. The hardware draws the cursor; two registers of the CRT controller
//! hold its position.

use crate::port;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Address of the text memory.
const TEXT: *mut u16 = 0xb8000 as *mut u16;
/// Characters per row.
pub const COLUMNS: usize = 80;
/// Rows on the screen.
pub const ROWS: usize = 25;
const CELLS: usize = ROWS * COLUMNS;

/// I/O port that selects a register of the CRT controller; the next port
/// accesses the register.
const CRTC_INDEX: u16 = 0x3d4;
const CRTC_DATA: u16 = CRTC_INDEX + 1;
/// CRT controller: the cursor's position, high and low byte.
const CRTC_CURSOR: [u8; 2] = [0x0e, 0x0f];

/// The cell of the next character, counted from the upper left corner.
static POSITION: AtomicUsize = AtomicUsize::new(0);

/// A colour of the VGA palette. Only the first eight can be a background.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Color {
    Black,
    Blue,
    Green,
    Cyan,
    Red,
    Magenta,
    Brown,
    LightGray,
    DarkGray,
    LightBlue,
    LightGreen,
    LightCyan,
    LightRed,
    LightMagenta,
    Yellow,
    White,
}

/// Writes to the screen in a pair of colours. All writers share one position.
///
/// A newline clears the rest of its row. The screen scrolls when the last row is
/// full.
pub struct Writer {
    attribute: u8,
}

impl Writer {
    /// Creates a writer with these colours.
    pub const fn new(foreground: Color, background: Color) -> Self {
        Writer {
            attribute: (background as u8) << 4 | foreground as u8,
        }
    }

    fn put_char(&mut self, character: char) {
        let position = POSITION.load(Ordering::Relaxed);
        let next = if character == '\n' {
            let next = (position / COLUMNS + 1) * COLUMNS;
            (position..next).for_each(|position| write_cell(position, self.cell(' ')));
            next
        } else {
            write_cell(position, self.cell(character));
            position + 1
        };
        // The stored position is always on the screen, even if an interrupt
        // handler prints in between.
        if next < CELLS {
            POSITION.store(next, Ordering::Relaxed);
        } else {
            self.scroll();
            POSITION.store(CELLS - COLUMNS, Ordering::Relaxed);
        }
    }

    /// A character in the writer's colours. Characters outside printable ASCII
    /// become a block, because the PC's character set differs there.
    fn cell(&self, character: char) -> u16 {
        const BLOCK: u8 = 0xfe;
        let code = match character {
            ' '..='~' => character as u8,
            _ => BLOCK,
        };
        u16::from(self.attribute) << 8 | u16::from(code)
    }

    /// Moves every row up by one and clears the last one.
    fn scroll(&mut self) {
        for position in 0..CELLS - COLUMNS {
            write_cell(position, read_cell(position + COLUMNS));
        }
        for position in CELLS - COLUMNS..CELLS {
            write_cell(position, self.cell(' '));
        }
    }
}

fn write_cell(position: usize, cell: u16) {
    assert!(position < CELLS);
    // SAFETY: the position is on the screen, whose memory the loader mapped.
    // The write is volatile because the program never reads it back.
    unsafe { TEXT.add(position).write_volatile(cell) }
}

fn read_cell(position: usize) -> u16 {
    assert!(position < CELLS);
    // SAFETY: as in `write_cell`.
    unsafe { TEXT.add(position).read_volatile() }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().for_each(|character| self.put_char(character));
        move_cursor(POSITION.load(Ordering::Relaxed));
        Ok(())
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        self.put_char(character);
        move_cursor(POSITION.load(Ordering::Relaxed));
        Ok(())
    }
}

/// Clears the screen; the next character goes to its upper left corner.
pub fn clear() {
    let writer = Writer::new(Color::LightGray, Color::Black);
    (0..CELLS).for_each(|position| write_cell(position, writer.cell(' ')));
    POSITION.store(0, Ordering::Relaxed);
    move_cursor(0);
}

fn move_cursor(position: usize) {
    let [.., high, low] = position.to_be_bytes();
    for (register, value) in CRTC_CURSOR.into_iter().zip([high, low]) {
        // SAFETY: these two registers only set the cursor's position.
        unsafe {
            port::write(CRTC_INDEX, register);
            port::write(CRTC_DATA, value);
        }
    }
}

/// Prints to the screen in light cyan, like `std`'s `print!`.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => {{
        use core::fmt::Write as _;
        use $crate::vga::{Color, Writer};
        let mut writer = Writer::new(Color::LightCyan, Color::Black);
        let _ = write!(writer, $($arg)*); // never fails
    }};
}

/// Prints to the screen and ends the line, like `std`'s `println!`.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arg:tt)*) => { $crate::print!("{}\n", format_args!($($arg)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> usize {
        let [high, low] = CRTC_CURSOR.map(|register| {
            // SAFETY: reading the cursor's position has no side effects.
            unsafe {
                port::write(CRTC_INDEX, register);
                port::read(CRTC_DATA)
            }
        });
        usize::from(high) << 8 | usize::from(low)
    }

    #[test_case]
    fn the_cursor_follows_the_text() {
        clear();
        assert_eq!(cursor(), 0);
        print!("four");
        assert_eq!(cursor(), 4);
        println!();
        assert_eq!(cursor(), COLUMNS);
        for _ in 0..ROWS {
            println!();
        }
        assert_eq!(cursor(), CELLS - COLUMNS);
    }

    #[test_case]
    fn a_cell_is_a_code_and_two_colors() {
        let writer = Writer::new(Color::White, Color::Red);
        assert_eq!(writer.cell('A'), 0x4f41);
        assert_eq!(writer.cell('~'), 0x4f7e);
        for other in ['\t', '\u{7f}', '\u{e4}', '\u{20ac}'] {
            assert_eq!(writer.cell(other), 0x4ffe, "{other:?}");
        }
    }
}
