//! The rules for the segments. The loader checks them again (`boot/elf.s`).

use super::error::Error;
use super::format::{Header, PF_W, PF_X, Segment};
use crate::layout::{ONE_MIB, PAGE_BYTES};

/// Checks one PT_LOAD segment by itself; returns its bytes.
pub fn loaded<'a>(file: &'a [u8], header: &Header) -> Result<&'a [u8], Error> {
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

/// Refuses segments that overlap; they are sorted by address.
pub fn check_neighbours(segments: &[Segment]) -> Result<(), Error> {
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
pub fn check_rights(segments: &[Segment]) -> Result<(), Error> {
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
