//! Where in the sources an address of the loader is.

use crate::lab::Lab;
use crate::student;
use siso_image::recorder::symbols::Symbols;
use siso_image::tour::record::short;

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

    /// The file and the line of an address.
    pub fn name(&self, address: u64) -> String {
        match self.symbols.place(address) {
            Some(place) => {
                let is_theirs = place.file.ends_with(&format!("/{}", self.file));
                let file = match is_theirs {
                    true => self.shown.clone(),
                    false => short(&place.file),
                };
                format!("{file}:{}", place.line)
            }
            None => format!("address {address:#x}, where the loader has no code"),
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
    let mut lines: Vec<&str> = meaning.map(|(_, means)| *means).into_iter().collect();
    lines.extend(message.lines().take(LINES + 1 - lines.len()));
    if lines.len() > LINES {
        lines[LINES] = "...";
    }
    lines.join("\n")
}
