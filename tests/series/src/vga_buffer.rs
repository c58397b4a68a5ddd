//! The screen in text mode: new lines appear at the bottom.

use core::fmt::{self, Arguments, Write};
use spin::Mutex;
use x86_64::instructions::interrupts::without_interrupts;

/// The address of the screen, both physical and virtual.
pub const ADDRESS: u64 = 0xb8000;
/// Characters in a row.
pub const COLUMNS: usize = 80;
/// Rows on the screen.
pub const ROWS: usize = 25;

/// Yellow on black.
const COLOR: u8 = 0x0e;

static WRITER: Mutex<Writer> = Mutex::new(Writer { column: 0 });

struct Writer {
    column: usize,
}

impl Writer {
    fn write_byte(&mut self, byte: u8) {
        if byte == b'\n' {
            return self.new_line();
        }
        if self.column == COLUMNS {
            self.new_line();
        }
        set(ROWS - 1, self.column, cell(byte));
        self.column += 1;
    }

    fn new_line(&mut self) {
        for row in 1..ROWS {
            for column in 0..COLUMNS {
                set(row - 1, column, get(row, column));
            }
        }
        for column in 0..COLUMNS {
            set(ROWS - 1, column, cell(b' '));
        }
        self.column = 0;
    }
}

impl Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match byte {
                b' '..=b'~' | b'\n' => self.write_byte(byte),
                _ => self.write_byte(0xfe), // a black square
            }
        }
        Ok(())
    }
}

fn cell(byte: u8) -> u16 {
    u16::from_le_bytes([byte, COLOR])
}

fn pointer(row: usize, column: usize) -> *mut u16 {
    assert!(row < ROWS && column < COLUMNS);
    (ADDRESS as *mut u16).wrapping_add(row * COLUMNS + column)
}

fn set(row: usize, column: usize, cell: u16) {
    // SAFETY: the loader maps the screen, and `pointer` stays on it.
    unsafe { pointer(row, column).write_volatile(cell) }
}

/// A cell of the screen: the character in the low byte, its colours in the high
/// byte.
pub fn get(row: usize, column: usize) -> u16 {
    // SAFETY: as in `set`.
    unsafe { pointer(row, column).read_volatile() }
}

/// To be called by the macros only.
#[doc(hidden)]
pub fn _print(arguments: Arguments) {
    // An interrupt handler that prints must not find the screen locked.
    without_interrupts(|| {
        let result = WRITER.lock().write_fmt(arguments);
        result.expect("the screen takes all text");
    });
}

/// Prints on the screen.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::vga_buffer::_print(format_args!($($arg)*)) };
}

/// Prints a line on the screen.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arg:tt)*) => { $crate::print!("{}\n", format_args!($($arg)*)) };
}

#[test_case]
fn println_many() {
    for line in 0..200 {
        println!("line {line}");
    }
}

#[test_case]
fn println_appears_on_the_screen() {
    let text = "Some test string that fits on a single line";
    without_interrupts(|| {
        println!("\n{text}");
        for (column, byte) in text.bytes().enumerate() {
            assert_eq!(get(ROWS - 2, column), cell(byte));
        }
    });
}
