//! Where in the sources an address of the loader is.

use crate::lab::Lab;
use crate::student;
use siso_book::source::Source;
use siso_image::recorder::code::{Flow, decode_as};
use siso_image::recorder::symbols::Symbols;
use siso_image::tour::record::short;
use std::path::Path;

/// The most exits of a file that are watched.
const EXITS: usize = 50;

/// The places of a loader.
pub struct Places<'elf> {
    symbols: Symbols<'elf>,
    file: String,
    shown: String,
}

impl<'elf> Places<'elf> {
    /// Reads the loader's ELF file. The lab's file is the student's.
    pub fn new(elf: &'elf [u8], lab: &Lab) -> Result<Self, String> {
        Ok(Places {
            symbols: Symbols::read(elf)?,
            file: lab.file.clone(),
            shown: student::shown(lab),
        })
    }

    /// Whether an address is in the loader's code.
    pub fn has(&self, address: u64) -> bool {
        self.symbols.has(address)
    }

    /// The address of a symbol.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.symbols.address(name)
    }

    fn is_theirs(&self, file: &str) -> bool {
        Path::new(file).ends_with(&self.file)
    }

    /// Whether code may go on at an address after a return or a jump of the student's: in
    /// their own file, or after a call.
    pub fn may_go_to(&self, address: u64) -> bool {
        let place = self.symbols.place(address);
        if place.is_some_and(|place| self.is_theirs(&place.file)) {
            return true;
        }
        let is_call = |bits: u32, length: u64| {
            let from = address.wrapping_sub(length);
            let code = decode_as(bits, from, self.symbols.bytes(from, length as usize));
            code.is_some_and(|code| code.flow() == Flow::Call && code.length() as u64 == length)
        };
        self.has(address)
            && [16, 32, 64]
                .into_iter()
                .any(|bits| (2..=7).any(|length| is_call(bits, length)))
    }

    /// The instructions of the student's file that go where the stack or a register says.
    pub fn exits(&self, text: &str) -> Vec<u64> {
        let source = Source::of(&self.file, text);
        let mut exits = Vec::new();
        for (mut address, size, line) in self.symbols.lines(&self.file) {
            let bits = source.bits(line as usize - 1).unwrap_or(64);
            let end = address.saturating_add(size);
            while address < end {
                let bytes = self.symbols.bytes(address, 16);
                let Some(code) = decode_as(bits, address, bytes) else {
                    break;
                };
                if code.goes_anywhere() {
                    exits.push(address);
                }
                address += code.length() as u64;
            }
        }
        exits.truncate(EXITS);
        exits
    }

    /// The file and the line of an address: the student's line, where a function was inlined
    /// there.
    pub fn name(&self, address: u64) -> String {
        let frames = self.symbols.frames(address);
        let mut places = frames.into_iter().filter_map(|(_, place)| place);
        let theirs = places.find(|place| self.is_theirs(&place.file));
        match theirs.or_else(|| self.symbols.place(address)) {
            Some(place) => {
                let file = match self.is_theirs(&place.file) {
                    true => self.shown.clone(),
                    false => short(&place.file),
                };
                format!("{file}:{}", place.line)
            }
            None => format!("address {address:#x}, where there is no code of ours"),
        }
    }
}

/// What some messages mean.
const MEANINGS: [(&str, &str); 3] = [
    (
        "stage 1 reaches into the disk signature",
        "stage 1 is too long: it must end before offset 0x1B8 of its sector",
    ),
    (
        "cannot move location counter backwards",
        "stage 1 is too long: it must end before offset 0x1B8 of its sector",
    ),
    (
        "attempt to move .org backwards",
        "there is more before an .org than its address leaves room for",
    ),
];

/// The most lines of a message that are shown.
const LINES: usize = 20;

/// The messages of the assembler or the linker about a copy of the tree, with the names
/// that a student knows.
pub fn renamed(message: &str, lab: &Lab, tree: &str) -> String {
    let message = message
        .replace(&format!("{tree}/{}", lab.file), &student::shown(lab))
        .replace(&format!("{tree}/"), "");
    let meaning = MEANINGS.iter().find(|(said, _)| message.contains(said));
    first_lines(&match meaning {
        Some((_, means)) => format!("{means}\n{message}"),
        None => message,
    })
}

/// So much of a message as is shown.
pub fn first_lines(message: &str) -> String {
    let mut lines: Vec<&str> = message.lines().take(LINES + 1).collect();
    if lines.len() > LINES {
        lines[LINES] = "...";
    }
    lines.join("\n")
}
