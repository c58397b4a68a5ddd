//! Why a kernel cannot be started, in one sentence each.

use super::HEADERS_MAX;
use super::format::Header;
use super::relocate;
use std::fmt;

/// Why a kernel cannot be started.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Error {
    NotElf,
    Not64Bit,
    NotLittleEndian,
    Machine(u16),
    Relocation(relocate::Error),
    NotExecutable(u16),
    Dynamic,
    Truncated(&'static str),
    HeaderSize(u16),
    NoSegment,
    TooManyHeaders(usize),
    FileLargerThanMemory(Header),
    TooLarge(Header),
    NotCanonical(Header),
    TooLow(Header),
    Overlap(Header, Header),
    WritableCode(Header),
    SharedPage(Header, Header),
    Entry(u64),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        use Error::*;
        match self {
            NotElf => write!(f, "not an ELF file"),
            Not64Bit => write!(f, "a 32-bit ELF file; the kernel must be 64-bit"),
            NotLittleEndian => write!(f, "a big-endian ELF file"),
            Machine(machine) => write!(f, "for machine {machine}, not x86-64 (62)"),
            Relocation(error) => write!(
                f,
                "is position-independent, but {error}; link it statically (rustc: -C \
                 relocation-model=static)"
            ),
            NotExecutable(kind) => write!(f, "ELF type {kind}, not an executable (2)"),
            Dynamic => write!(f, "needs a dynamic linker; the kernel must be static"),
            Truncated(what) => write!(f, "ends within {what}"),
            HeaderSize(size) => write!(f, "has program headers of {size} bytes, not 56"),
            NoSegment => write!(f, "has nothing to load (no PT_LOAD segment)"),
            TooManyHeaders(count) => write!(
                f,
                "has {count} segments to load; the maximum is {HEADERS_MAX}"
            ),
            FileLargerThanMemory(header) => {
                write!(
                    f,
                    "{header} is smaller than its {:#x} bytes in the file",
                    header.filesz
                )
            }
            TooLarge(header) => write!(f, "{header} is larger than 2 GiB"),
            NotCanonical(header) => {
                write!(
                    f,
                    "{header} is not within the canonical addresses (48 bits)"
                )
            }
            TooLow(header) => write!(
                f,
                "{header} overlaps the first MiB, which belongs to the BIOS and the loader"
            ),
            Overlap(one, other) => write!(f, "{one} overlaps the {other}"),
            WritableCode(header) => write!(
                f,
                "{header} is writable and executable; put code and data in separate segments, \
                 or allow it with WX=1 (--wx)"
            ),
            SharedPage(one, other) => write!(
                f,
                "{one} and the {other} share a page that would be writable and executable; \
                 align one of them to 4096, or allow it with WX=1 (--wx)"
            ),
            Entry(entry) => write!(f, "entry point {entry:#x} is not in an executable segment"),
        }
    }
}

impl std::error::Error for Error {}
