//! Relocates a position-independent executable to a fixed address, as a dynamic
//! linker would. rustc's built-in target `x86_64-unknown-none` produces such
//! kernels.
//!
//! Only relative relocations, which add the load address, are supported. Those
//! that need a symbol are refused by name. Source: System V ABI, AMD64 supplement
//! 1.0, table 4.9; generic ABI, "Dynamic Section".

use super::format::{Header, Segment, number};
use std::fmt;

const DT_NEEDED: u64 = 1;
const DT_PLTRELSZ: u64 = 2;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_RELSZ: u64 = 18;
const DT_JMPREL: u64 = 23;
const DT_RELRSZ: u64 = 35;
/// Bytes of an entry of DT_RELA: offset, info, addend.
const RELA_BYTES: usize = 24;

const R_X86_64_NONE: u32 = 0;
const R_X86_64_RELATIVE: u32 = 8;
/// Relocation types for a dynamic linker, with their numbers.
const NAMES: [(u32, &str); 10] = [
    (1, "R_X86_64_64"),
    (2, "R_X86_64_PC32"),
    (5, "R_X86_64_COPY"),
    (6, "R_X86_64_GLOB_DAT"),
    (7, "R_X86_64_JUMP_SLOT"),
    (16, "R_X86_64_DTPMOD64"),
    (17, "R_X86_64_DTPOFF64"),
    (18, "R_X86_64_TPOFF64"),
    (36, "R_X86_64_TLSDESC"),
    (37, "R_X86_64_IRELATIVE"),
];

/// Why a kernel cannot be relocated.
#[derive(Debug, PartialEq)]
pub enum Error {
    /// It needs a shared library.
    Library,
    /// It has relocations in a table of this name.
    Table(&'static str),
    /// A table is outside the stored bytes of the segments.
    Outside,
    /// A relocation of an unsupported type at this address.
    Kind(u32, u64),
    /// A relocation applies to this address, which has no stored bytes.
    Target(u64),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Library => write!(f, "it needs a shared library (DT_NEEDED)"),
            Error::Table(name) => write!(f, "it has relocations in a {name} table"),
            Error::Outside => write!(f, "its relocations are not in its segments"),
            Error::Kind(kind, address) => {
                let name = NAMES.iter().find(|(number, _)| number == kind);
                match name {
                    Some((_, name)) => write!(f, "it has the relocation {name} at {address:#x}"),
                    None => write!(f, "it has a relocation of type {kind} at {address:#x}"),
                }
            }
            Error::Target(address) => {
                write!(
                    f,
                    "a relocation applies to {address:#x}, which has no bytes in the file"
                )
            }
        }
    }
}

/// Applies the relocations to the bytes of the segments, which are `bias` above
/// the addresses at which the file is linked. `dynamic` is the program header of
/// the dynamic section, with `bias` already added.
pub fn relocate(segments: &mut [Segment], dynamic: &Header, bias: u64) -> Result<(), Error> {
    let dynamic = stored(segments, dynamic.vaddr, dynamic.filesz)?;
    let (entries, _) = dynamic.as_chunks::<16>();
    let entries = entries.iter().map(|entry| (word(entry, 0), word(entry, 8)));
    let entries: Vec<(u64, u64)> = entries.take_while(|(tag, _)| *tag != 0).collect();
    let value = |name| {
        let found = entries.iter().find(|(tag, _)| *tag == name);
        found.map_or(0, |(_, value)| *value)
    };
    if entries.iter().any(|(tag, _)| *tag == DT_NEEDED) {
        return Err(Error::Library);
    }
    for (size, name) in [(DT_RELSZ, "DT_REL"), (DT_RELRSZ, "DT_RELR")] {
        if value(size) != 0 {
            return Err(Error::Table(name));
        }
    }
    for (table, size) in [(DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)] {
        if value(size) == 0 {
            continue;
        }
        let table = stored(segments, value(table).wrapping_add(bias), value(size))?.to_vec();
        for entry in table.as_chunks::<RELA_BYTES>().0 {
            let address = word(entry, 0).wrapping_add(bias);
            match word(entry, 8) as u32 {
                R_X86_64_NONE => {}
                R_X86_64_RELATIVE => {
                    let value = word(entry, 16).wrapping_add(bias);
                    put(segments, address, value).ok_or(Error::Target(address))?;
                }
                kind => return Err(Error::Kind(kind, address)),
            }
        }
    }
    Ok(())
}

fn word(bytes: &[u8], offset: usize) -> u64 {
    number::<8>(bytes, offset).expect("the entry is long enough")
}

/// The segment that stores this many bytes at an address, and their offset in it.
fn find(segments: &[Segment], address: u64, bytes: u64) -> Option<(usize, usize)> {
    segments.iter().enumerate().find_map(|(n, segment)| {
        let offset = address.checked_sub(segment.header.vaddr)?;
        let end = offset.checked_add(bytes)?;
        (end <= segment.header.filesz).then_some((n, offset as usize))
    })
}

fn stored<'a>(segments: &'a [Segment], address: u64, bytes: u64) -> Result<&'a [u8], Error> {
    let (n, offset) = find(segments, address, bytes).ok_or(Error::Outside)?;
    Ok(&segments[n].bytes[offset..][..bytes as usize])
}

fn put(segments: &mut [Segment], address: u64, value: u64) -> Option<()> {
    let (n, offset) = find(segments, address, 8)?;
    segments[n].bytes.to_mut()[offset..][..8].copy_from_slice(&value.to_le_bytes());
    Some(())
}
