//! The screen: 80x25 characters of VGA text memory.
//!
//! Two bytes a character: its code, then its colours. The loader has chosen
//! this mode, mapped the memory where it is, and left row 0 to the kernel.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Address of the text memory.
const TEXT: *mut u16 = 0xb8000 as *mut u16;
/// Characters a row.
pub const COLUMNS: usize = 80;
/// Rows of the screen.
pub const ROWS: usize = 25;
const CHARACTERS: usize = ROWS * COLUMNS;

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

    fn write_char(&mut self, character: char) {
        let position = POSITION.load(Ordering::Relaxed);
        let next = if character == '\n' {
            (position / COLUMNS + 1) * COLUMNS
        } else {
            put(position, self.cell(character));
            position + 1
        };
        POSITION.store(next, Ordering::Relaxed);
        if next == CHARACTERS {
            self.scroll();
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
        POSITION.store(CHARACTERS - COLUMNS, Ordering::Relaxed);
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
        text.chars()
            .for_each(|character| self.write_char(character));
        Ok(())
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
