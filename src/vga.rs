//! The screen: 80x25 characters of VGA text memory.
//!
//! Two bytes a character: its code, then its colours. The loader has chosen
//! this mode, mapped the memory where it is, and left row 0 to the kernel. The
//! cursor is the hardware's; two registers of the CRT controller tell it where
//! to blink.

use crate::port;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Address of the text memory.
const TEXT: *mut u16 = 0xb8000 as *mut u16;
/// Characters a row.
pub const COLUMNS: usize = 80;
/// Rows of the screen.
pub const ROWS: usize = 25;
const CHARACTERS: usize = ROWS * COLUMNS;

/// I/O port that takes the number of a CRT controller's register; the
/// register itself is at the next one.
const CRTC_INDEX: u16 = 0x3d4;
const CRTC_DATA: u16 = CRTC_INDEX + 1;
/// CRT controller: the cursor's position, upper and lower half.
const CRTC_CURSOR: [u8; 2] = [0x0e, 0x0f];

/// Where the next character goes, counted from the upper left corner.
static POSITION: AtomicUsize = AtomicUsize::new(0);

/// A colour of the VGA's palette. Only the first eight may be a background.
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

/// Writes to the screen, in two colours. All writers share one position.
///
/// The end of a line clears the rest of its row, and the screen scrolls when the
/// last row is full.
pub struct Writer {
    attribute: u8,
}

impl Writer {
    /// A writer in these colours.
    pub const fn new(foreground: Color, background: Color) -> Self {
        Writer {
            attribute: (background as u8) << 4 | foreground as u8,
        }
    }

    fn put_char(&mut self, character: char) {
        let position = POSITION.load(Ordering::Relaxed);
        let next = if character == '\n' {
            let next = (position / COLUMNS + 1) * COLUMNS;
            (position..next).for_each(|position| put(position, self.cell(' ')));
            next
        } else {
            put(position, self.cell(character));
            position + 1
        };
        // Always a place on the screen, even if somebody interrupts us.
        if next < CHARACTERS {
            POSITION.store(next, Ordering::Relaxed);
        } else {
            self.scroll();
            POSITION.store(CHARACTERS - COLUMNS, Ordering::Relaxed);
        }
    }

    /// A character in the writer's colours; a block for what the PC's own
    /// character set has in other places than ASCII.
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
        for position in 0..CHARACTERS - COLUMNS {
            put(position, get(position + COLUMNS));
        }
        for position in CHARACTERS - COLUMNS..CHARACTERS {
            put(position, self.cell(' '));
        }
    }
}

fn put(position: usize, cell: u16) {
    assert!(position < CHARACTERS);
    // SAFETY: the position is on the screen, whose memory the loader has
    // mapped; volatile, because the compiler sees nobody read it.
    unsafe { TEXT.add(position).write_volatile(cell) }
}

fn get(position: usize) -> u16 {
    assert!(position < CHARACTERS);
    // SAFETY: as in `put`.
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
    (0..CHARACTERS).for_each(|position| put(position, writer.cell(' ')));
    POSITION.store(0, Ordering::Relaxed);
    move_cursor(0);
}

fn move_cursor(position: usize) {
    let [.., high, low] = position.to_be_bytes();
    for (register, value) in CRTC_CURSOR.into_iter().zip([high, low]) {
        // SAFETY: these two registers place the cursor, nothing else.
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
        let _ = write!(writer, $($arg)*); // it never fails
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
            // SAFETY: reading the cursor's position changes nothing.
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
        assert_eq!(cursor(), CHARACTERS - COLUMNS);
    }

    #[test_case]
    fn a_cell_is_a_code_and_two_colors() {
        let writer = Writer::new(Color::White, Color::Red);
        assert_eq!(writer.cell('A'), 0x4f41);
        assert_eq!(writer.cell('~'), 0x4f7e);
        for odd in ['\t', '\u{7f}', '\u{e4}', '\u{20ac}'] {
            assert_eq!(writer.cell(odd), 0x4ffe, "{odd:?}");
        }
    }
}
