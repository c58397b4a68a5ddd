//! The kernel in memory, and what it is told.

use super::memory::kind_name;
use super::{address, number};
use crate::guest::Guest;
use siso_image::SECTOR;
use siso_image::elf::{self, PT_LOAD};
use siso_image::layout::*;
use std::io;

/// The most bytes of a segment that are compared: headers in memory may be anything.
const SIZE_MAX: u64 = 64 << 20;

/// A line for each segment: whether it is in memory as the disk has it, with zeros after it.
pub fn loaded(guest: &mut Guest) -> io::Result<Vec<String>> {
    let field = (KERNEL_SECTOR - STAGE1_BASE) as usize;
    let stored = number(&guest.image[field..field + 4]) as usize * SECTOR;
    let headers = guest.stub.memory(ELF_BASE, (ELF_END - ELF_BASE) as usize)?;
    let headers = elf::headers(&headers).map_err(io::Error::other)?;
    let mut lines = Vec::new();
    for (kind, header) in headers.programs {
        if kind != PT_LOAD {
            continue;
        }
        let (at, file, size) = (header.paddr, header.filesz as usize, header.memsz);
        let start = stored.saturating_add(header.offset as usize);
        let bytes = guest.image.get(start..start.saturating_add(file));
        let (Some(bytes), ..SIZE_MAX) = (bytes, size) else {
            lines.push(format!("the segment at {at:#x} is none of the disk's"));
            continue;
        };
        let mut wanted = bytes.to_vec();
        wanted.resize(size as usize, 0);
        let seen = guest.stub.memory(at, wanted.len())?;
        let wrong = seen
            .iter()
            .zip(&wanted)
            .position(|(one, other)| one != other);
        lines.push(match wrong {
            None => format!("the segment at {at:#x} is all there"),
            Some(n) if n >= file => format!(
                "the segment at {at:#x} has {:#x} at {:#x}, in its .bss",
                seen[n],
                at + n as u64
            ),
            Some(n) => format!(
                "the segment at {at:#x} has {:#x} at {:#x}, where the file has {:#x}",
                seen[n],
                at + n as u64,
                wanted[n]
            ),
        });
    }
    Ok(lines)
}

/// A line for each field of the boot info.
pub fn boot_info(guest: &mut Guest) -> io::Result<Vec<String>> {
    let frame = address(guest, "info_frame")?;
    let frame = number(&guest.stub.memory(frame, 4)?);
    let bytes = guest.stub.memory(frame << PAGE_SHIFT, INFO_END as usize)?;
    let field = |at: u64, length: usize| number(&bytes[at as usize..][..length]);
    let mut lines = Vec::new();
    for n in 0..INFO_REGIONS {
        let at = n * INFO_REGION_BYTES;
        let (first, end) = (field(at, 8), field(at + 8, 8));
        let kind = field(at + INFO_REGION_KIND, 4);
        lines.push(match kind {
            KIND_EMPTY => format!("region {n} is empty"),
            _ => format!(
                "region {n}: frames {first:#x}..{end:#x}, kind {kind} ({})",
                kind_name(kind)
            ),
        });
    }
    for (name, at, length) in [
        ("the number of regions", INFO_COUNT, 8),
        ("the offset of physical memory", INFO_PHYSICAL, 8),
        ("the magic number", INFO_MAGIC, 8),
        ("the version", INFO_VERSION, 4),
        ("the size", INFO_SIZE, 4),
        ("the boot drive", INFO_DRIVE, 4),
        ("how A20 was opened", INFO_A20, 4),
        ("where the memory map is from", INFO_SOURCE, 4),
        ("the flags", INFO_FLAGS, 4),
        ("the command line's address", INFO_COMMAND, 8),
        ("the ramdisk's address", INFO_RAMDISK, 8),
    ] {
        lines.push(format!("{name} at byte {at}: {:#x}", field(at, length)));
    }
    Ok(lines)
}
