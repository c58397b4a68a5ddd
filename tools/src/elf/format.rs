//! The ELF format: its constants, and a reader of the headers.
//!
//! Source: ELF-64 Object File Format 1.5.

use super::error::Error;
use std::borrow::Cow;
use std::fmt;

/// Bytes of an ELF header and of a program header.
pub const E_BYTES: u64 = 64;
pub const P_BYTES: u64 = 56;

pub const PT_LOAD: u32 = 1;
pub const PT_DYNAMIC: u32 = 2;
pub const PT_INTERP: u32 = 3;
pub const PT_TLS: u32 = 7;
pub const PF_X: u32 = 1;
pub const PF_W: u32 = 2;
pub const ET_EXEC: u16 = 2;
pub const ET_DYN: u16 = 3;
pub const EM_X86_64: u16 = 62;
/// The value of `e_phnum` if the actual number is stored elsewhere.
pub const PN_XNUM: u16 = 0xffff;

/// A PT_LOAD segment with its bytes.
#[derive(Debug)]
pub struct Segment<'a> {
    /// Its program header.
    pub header: Header,
    /// Its `p_filesz` bytes in the file.
    pub bytes: Cow<'a, [u8]>,
}

/// A program header, without its type.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Header {
    pub flags: u32,
    pub offset: u64,
    pub vaddr: u64,
    pub paddr: u64,
    pub filesz: u64,
    pub memsz: u64,
}

impl Header {
    /// The address of its last byte. [`super::Kernel::parse`] checks that the segment is
    /// not empty.
    pub(super) fn last(&self) -> u64 {
        self.vaddr + (self.memsz - 1)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let right = |bit, letter| if self.flags & bit != 0 { letter } else { '-' };
        let (w, x) = (right(PF_W, 'w'), right(PF_X, 'x'));
        write!(
            f,
            "segment at {:#x} (r{w}{x}, {:#x} bytes)",
            self.vaddr, self.memsz
        )
    }
}

/// Reads a little-endian number of `N` bytes at `offset`.
pub fn number<const N: usize>(file: &[u8], offset: usize) -> Option<u64> {
    let bytes = file.get(offset..offset.checked_add(N)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)),
    )
}

/// The contents of the headers; each program header with its type.
pub struct Headers {
    /// The kind of file: `e_type`.
    pub kind: u16,
    /// The address of the entry point: `e_entry`.
    pub entry: u64,
    /// Each program header, after its `p_type`.
    pub programs: Vec<(u32, Header)>,
}

/// Checks the ELF header and reads the program headers.
pub fn headers(file: &[u8]) -> Result<Headers, Error> {
    if !file.starts_with(b"\x7fELF") {
        return Err(Error::NotElf);
    }
    let header = file
        .get(..E_BYTES as usize)
        .ok_or(Error::Truncated("its ELF header"))?;
    match header[4] {
        1 => return Err(Error::Not64Bit),
        2 => {}
        _ => return Err(Error::NotElf),
    }
    if header[5] != 1 {
        return Err(Error::NotLittleEndian);
    }
    let half = |offset| u16::from_le_bytes([header[offset], header[offset + 1]]);
    let (kind, machine) = (half(16), half(18));
    if machine != EM_X86_64 {
        return Err(Error::Machine(machine));
    }
    if ![ET_EXEC, ET_DYN].contains(&kind) {
        return Err(Error::NotExecutable(kind));
    }
    let (size, count) = (half(54), half(56));
    if count == 0 {
        return Err(Error::NoSegment);
    }
    if count == PN_XNUM {
        return Err(Error::TooManyHeaders(count.into()));
    }
    if u64::from(size) != P_BYTES {
        return Err(Error::HeaderSize(size));
    }
    let word = |offset| number::<8>(file, offset).expect("within the ELF header");
    let (entry, table) = (word(24), word(32));
    let read = |n: usize| {
        let at = usize::try_from(table)
            .ok()?
            .checked_add(n * P_BYTES as usize)?;
        let word = |offset: usize| number::<8>(file, at.checked_add(offset)?);
        let header = Header {
            flags: number::<4>(file, at.checked_add(4)?)? as u32,
            offset: word(8)?,
            vaddr: word(16)?,
            paddr: word(24)?,
            filesz: word(32)?,
            memsz: word(40)?,
        };
        word(48)?; // p_align, to check that the header is complete
        Some((number::<4>(file, at)? as u32, header))
    };
    let headers = (0..usize::from(count))
        .map(read)
        .collect::<Option<Vec<_>>>();
    Ok(Headers {
        kind,
        entry,
        programs: headers.ok_or(Error::Truncated("its program headers"))?,
    })
}
