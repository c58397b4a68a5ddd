//! What a kernel written for the `bootloader` crate 0.9 expects: that crate's
//! features, which change the boot info and the machine's state at entry.

use crate::layout::{FEATURE_CRATE, FEATURE_PHYSICAL, FEATURE_RECURSIVE, FEATURE_SSE, FEATURE_VGA};
use std::fmt;

/// The features of the crate's line 0.9 (0.9.0 to 0.9.35 have the same).
const FEATURES: [(&str, u64); 4] = [
    ("map_physical_memory", FEATURE_PHYSICAL),
    ("recursive_page_table", FEATURE_RECURSIVE),
    ("sse", FEATURE_SSE),
    ("vga_320x200", FEATURE_VGA),
];

/// Names that Cargo lists besides those: no feature, `binary` for the crate's own
/// program, and the optional dependencies of that and of the features.
const WITHOUT_MEANING: [&str; 11] = [
    "default",
    "binary",
    "bit_field",
    "fixedvec",
    "font8x8",
    "llvm-tools",
    "rlibc",
    "toml",
    "usize_conversions",
    "x86_64",
    "xmas-elf",
];

/// The features that are on for a kernel of the crate's line 0.9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crate09 {
    bits: u64,
}

impl Crate09 {
    /// The features with these names.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, Unknown> {
        let mut bits = 0;
        for name in names {
            match FEATURES.iter().find(|(feature, _)| *feature == name) {
                Some((_, bit)) => bits |= bit,
                None if WITHOUT_MEANING.contains(&name) => {}
                None => return Err(Unknown(name.into())),
            }
        }
        Ok(Crate09 { bits })
    }

    /// The features in a list with commas; an empty text means none.
    pub fn parse(list: &str) -> Result<Self, Unknown> {
        Crate09::new(
            list.split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty()),
        )
    }

    /// Whether physical memory is mapped.
    pub fn maps_physical_memory(self) -> bool {
        self.bits & FEATURE_PHYSICAL != 0
    }

    /// Whether the PML4 has an entry for itself.
    pub fn is_recursive(self) -> bool {
        self.bits & FEATURE_RECURSIVE != 0
    }

    /// The bits of the image header. A kernel of our own has the map of physical
    /// memory, and none of the rest.
    pub fn header(kernel: Option<Self>) -> u32 {
        kernel.map_or(FEATURE_PHYSICAL, |it| it.bits | FEATURE_CRATE) as u32
    }
}

/// A feature that no version 0.9 of the crate has.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown(String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let known = FEATURES.map(|(name, _)| name).join(", ");
        write!(
            f,
            "the bootloader crate 0.9 has no feature '{}', only {known}",
            self.0
        )
    }
}

impl std::error::Error for Unknown {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let parse = |list| Crate09::parse(list).map(|it| Crate09::header(Some(it)));
        assert_eq!(parse(""), Ok(1));
        assert_eq!(parse("sse, default,bit_field"), Ok(1 | 8));
        let all = "map_physical_memory,recursive_page_table,sse,vga_320x200";
        assert_eq!(parse(all), Ok(31));
        assert_eq!(
            parse("sse,vga_80x50").map_err(|error| error.to_string()),
            Err(
                "the bootloader crate 0.9 has no feature 'vga_80x50', only map_physical_memory, \
                 recursive_page_table, sse, vga_320x200"
                    .into()
            )
        );
        assert_eq!(Crate09::header(None), 4);
    }
}
