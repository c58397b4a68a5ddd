//! Reads a kernel's ELF file and refuses kernels that the loader cannot start.
//!
//! `format` reads the headers, `rules` checks the segments, `relocate`
//! relocates a position-independent kernel, and `reduced` writes what the loader
//! needs. The loader checks the same rules again (`boot/elf.s`); the messages here
//! are more precise.

mod error;
mod format;
mod reduced;
mod relocate;
mod rules;

pub use error::Error;
pub use format::{Header, Headers, PT_LOAD, Segment, headers};

use crate::SECTOR;
use crate::layout::{ELF_SECTORS_MAX, MODULE_TYPES, ONE_MIB};
use format::*;

/// The maximum number of program headers, besides those of the boot modules.
pub const HEADERS_MAX: usize =
    ((ELF_SECTORS_MAX * SECTOR as u64 - E_BYTES) / P_BYTES - MODULE_TYPES) as usize;
/// The load address of a position-independent kernel that is linked at address 0.
const BASE: u64 = 0x20_0000;

/// A kernel that the loader can start.
#[derive(Debug)]
pub struct Kernel<'a> {
    /// Virtual address of the first instruction.
    pub entry: u64,
    /// The segments to load, sorted by virtual address.
    pub segments: Vec<Segment<'a>>,
    /// The template of thread-local storage, if there is one.
    pub tls: Option<Header>,
    /// Whether a page is both writable and executable, which the user allowed.
    pub writable_code: bool,
}

impl<'a> Kernel<'a> {
    /// Reads a kernel from the bytes of its ELF file. With `allow_wx`, pages may
    /// be both writable and executable.
    pub fn parse(file: &'a [u8], allow_wx: bool) -> Result<Self, Error> {
        let mut headers = headers(file)?;
        let relocatable = headers.kind == ET_DYN;
        let loads = headers.programs.iter();
        let loads = loads.filter(|(kind, _)| *kind == PT_LOAD);
        let lowest = loads.map(|(_, header)| header.vaddr).min();
        // A kernel that is linked at another address stays there.
        let bias = match lowest {
            Some(..ONE_MIB) if relocatable => BASE,
            _ => 0,
        };
        let entry = headers.entry.wrapping_add(bias);
        let mut segments = Vec::new();
        let mut tls = None;
        let mut dynamic = None;
        for (kind, header) in &mut headers.programs {
            header.vaddr = header.vaddr.wrapping_add(bias);
            header.paddr = header.paddr.wrapping_add(bias);
            match *kind {
                PT_LOAD if header.memsz == 0 && header.filesz == 0 => {}
                PT_LOAD => segments.push(Segment {
                    header: *header,
                    bytes: rules::loaded(file, header)?.into(),
                }),
                PT_TLS => tls = Some(*header),
                PT_DYNAMIC => dynamic = Some(*header),
                PT_INTERP => return Err(Error::Dynamic),
                _ => {}
            }
        }
        if segments.is_empty() {
            return Err(Error::NoSegment);
        }
        let count = segments.len() + usize::from(tls.is_some());
        if count > HEADERS_MAX {
            return Err(Error::TooManyHeaders(count));
        }
        segments.sort_by_key(|segment| segment.header.vaddr);
        rules::check_neighbours(&segments)?;
        if let Some(dynamic) = dynamic.filter(|_| relocatable) {
            relocate::relocate(&mut segments, &dynamic, bias).map_err(Error::Relocation)?;
        }
        let writable_code = match rules::check_rights(&segments) {
            Ok(()) => false,
            Err(_) if allow_wx => true,
            Err(error) => return Err(error),
        };
        let holds_entry = |segment: &Segment| {
            let offset = entry.checked_sub(segment.header.vaddr);
            segment.header.flags & PF_X != 0 && offset.is_some_and(|o| o < segment.header.filesz)
        };
        if !segments.iter().any(holds_entry) {
            return Err(Error::Entry(entry));
        }
        Ok(Kernel {
            entry,
            segments,
            tls,
            writable_code,
        })
    }
}
