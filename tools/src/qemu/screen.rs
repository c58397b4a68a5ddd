//! The screen in text mode.

use std::fmt;

/// Characters per row.
pub const COLUMNS: usize = 80;
/// Rows on the screen.
pub const ROWS: usize = 25;

/// The screen's 80x25 characters, two bytes each: code and colours.
#[derive(Clone, PartialEq, Eq)]
pub struct Screen(pub Vec<u8>);

impl Screen {
    /// The address of text memory.
    pub const ADDRESS: u64 = 0xb8000;
    /// Its size in bytes.
    pub const BYTES: usize = ROWS * COLUMNS * 2;

    /// The text of a row, without trailing blanks.
    pub fn row(&self, row: usize) -> String {
        let (cells, _) = self.0[row * COLUMNS * 2..][..COLUMNS * 2].as_chunks::<2>();
        let text: String = cells.iter().map(|cell| printable(cell[0])).collect();
        text.trim_end().into()
    }

    /// The colours of a character: background << 4 | foreground.
    pub fn attribute(&self, row: usize, column: usize) -> u8 {
        self.0[(row * COLUMNS + column) * 2 + 1]
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let line = "-".repeat(COLUMNS);
        writeln!(f, "+{line}+")?;
        for row in 0..ROWS {
            writeln!(f, "|{:COLUMNS$}|", self.row(row))?;
        }
        write!(f, "+{line}+")
    }
}

fn printable(code: u8) -> char {
    match code {
        0x20..0x7f => code as char,
        0 => ' ',
        _ => '?',
    }
}
