//! Reads a kernel's ELF file and refuses kernels that the loader cannot start.
//!
//! Source: ELF-64 Object File Format 1.5. The loader checks the same rules again
//! (`boot/elf.s`); the messages here are more precise.

use crate::layout::{ELF_SECTORS_MAX, MODULE_TYPES, ONE_MIB, PAGE_BYTES};
use crate::{SECTOR, relocate, sectors};
use std::borrow::Cow;
use std::fmt;

/// Bytes of an ELF header and of a program header.
const E_BYTES: u64 = 64;
const P_BYTES: u64 = 56;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_TLS: u32 = 7;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;
/// The value of `e_phnum` if the actual number is stored elsewhere.
const PN_XNUM: u16 = 0xffff;

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
    /// The address of its last byte. [`Kernel::parse`] checks that the segment is
    /// not empty.
    fn last(&self) -> u64 {
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
                    bytes: loaded(file, header)?.into(),
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
        check_neighbours(&segments)?;
        if let Some(dynamic) = dynamic.filter(|_| relocatable) {
            relocate::relocate(&mut segments, &dynamic, bias).map_err(Error::Relocation)?;
        }
        let writable_code = match check_rights(&segments) {
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

    /// The reduced ELF, and the number of sectors of its headers. It has only
    /// what the loader reads, in whole sectors: headers, segments, and boot
    /// modules. Each module is given with the type of its program header.
    pub fn reduced(&self, modules: &[(u64, &[u8])]) -> (Vec<u8>, usize) {
        let count = self.segments.len() + modules.len() + usize::from(self.tls.is_some());
        let header_bytes = E_BYTES as usize + count * P_BYTES as usize;
        let header_sectors = sectors(header_bytes);

        let mut file = Vec::new();
        file.extend([0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        file.extend([0; 8]);
        file.extend(ET_EXEC.to_le_bytes());
        file.extend(EM_X86_64.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(self.entry.to_le_bytes());
        file.extend(E_BYTES.to_le_bytes());
        file.extend(0u64.to_le_bytes()); // no section headers
        file.extend(0u32.to_le_bytes());
        for field in [E_BYTES as u16, P_BYTES as u16, count as u16, 0, 0, 0] {
            file.extend(field.to_le_bytes());
        }

        let mut offset = (header_sectors * SECTOR) as u64;
        let mut tls = self.tls;
        for Segment { header, .. } in &self.segments {
            if let Some(tls) = &mut tls
                && (header.vaddr..=header.last()).contains(&tls.vaddr)
            {
                tls.offset = offset + (tls.vaddr - header.vaddr);
            }
            push_header(&mut file, PT_LOAD, &Header { offset, ..*header });
            offset += (sectors(header.filesz as usize) * SECTOR) as u64;
        }
        for (kind, bytes) in modules {
            let header = Header {
                flags: 0,
                offset,
                vaddr: 0,
                paddr: 0,
                filesz: bytes.len() as u64,
                memsz: bytes.len() as u64,
            };
            push_header(&mut file, *kind as u32, &header);
            offset += (sectors(bytes.len()) * SECTOR) as u64;
        }
        if let Some(tls) = &tls {
            push_header(&mut file, PT_TLS, tls);
        }
        file.resize(header_sectors * SECTOR, 0);
        let segments = self.segments.iter().map(|segment| &*segment.bytes);
        for bytes in segments.chain(modules.iter().map(|(_, bytes)| *bytes)) {
            file.extend(bytes);
            file.resize(sectors(file.len()) * SECTOR, 0);
        }
        (file, header_sectors)
    }
}

fn push_header(file: &mut Vec<u8>, kind: u32, header: &Header) {
    file.extend(kind.to_le_bytes());
    file.extend(header.flags.to_le_bytes());
    for field in [
        header.offset,
        header.vaddr,
        header.paddr,
        header.filesz,
        header.memsz,
        1,
    ] {
        file.extend(field.to_le_bytes());
    }
}

/// Reads a little-endian number of `N` bytes at `offset`.
pub(crate) fn number<const N: usize>(file: &[u8], offset: usize) -> Option<u64> {
    let bytes = file.get(offset..offset.checked_add(N)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)),
    )
}

/// The contents of the headers; each program header with its type.
struct Headers {
    kind: u16,
    entry: u64,
    programs: Vec<(u32, Header)>,
}

/// Checks the ELF header and reads the program headers.
fn headers(file: &[u8]) -> Result<Headers, Error> {
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

/// Checks one PT_LOAD segment by itself; returns its bytes.
fn loaded<'a>(file: &'a [u8], header: &Header) -> Result<&'a [u8], Error> {
    if header.filesz > header.memsz {
        return Err(Error::FileLargerThanMemory(*header));
    }
    if header.memsz > 1 << 31 {
        return Err(Error::TooLarge(*header));
    }
    // Bits 63 to 47 must all be equal, and the same at both ends.
    let sign = |address: u64| (address as i64) >> 47;
    let last = header.vaddr.checked_add(header.memsz - 1);
    let canonical = |last| sign(last) == sign(header.vaddr) && matches!(sign(last), 0 | -1);
    if !last.is_some_and(canonical) {
        return Err(Error::NotCanonical(*header));
    }
    if header.vaddr < ONE_MIB {
        return Err(Error::TooLow(*header));
    }
    if header.filesz == 0 {
        return Ok(&[]); // its offset does not matter
    }
    let from = usize::try_from(header.offset).ok();
    let to = from.and_then(|from| from.checked_add(header.filesz as usize));
    match (from, to) {
        (Some(from), Some(to)) => file.get(from..to),
        _ => None,
    }
    .ok_or(Error::Truncated("a segment"))
}

fn check_neighbours(segments: &[Segment]) -> Result<(), Error> {
    for pair in segments.windows(2) {
        let (one, other) = (&pair[0].header, &pair[1].header);
        if other.vaddr <= one.last() {
            return Err(Error::Overlap(*one, *other));
        }
    }
    Ok(())
}

/// Refuses pages that are writable and executable, whether because of one segment
/// or because of several that share the page.
fn check_rights(segments: &[Segment]) -> Result<(), Error> {
    let both = |flags: u32| flags & PF_W != 0 && flags & PF_X != 0;
    let page = |address: u64| address / PAGE_BYTES;
    if let Some(segment) = segments.iter().find(|segment| both(segment.header.flags)) {
        return Err(Error::WritableCode(segment.header));
    }
    for (n, segment) in segments.iter().enumerate() {
        let later = segments[n + 1..].iter().map(|segment| &segment.header);
        for other in later.take_while(|other| page(other.vaddr) == page(segment.header.last())) {
            if both(segment.header.flags | other.flags) {
                return Err(Error::SharedPage(segment.header, *other));
            }
        }
    }
    Ok(())
}
