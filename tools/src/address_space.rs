//! Where in virtual memory the loader puts what it gives to a kernel: the
//! boot info, the stack, and all of physical memory.
//!
//! `docs/protocol.md` has the rules; the loader refuses to map a segment over
//! one of these (`boot/elf.s`).

use crate::elf::Kernel;
use crate::layout::*;
use crate::manifest::Manifest;
use std::fmt;

/// Bytes of physical memory that the loader may know of: 4 TiB.
const PHYSICAL_BYTES: u64 = FRAMES_MAX * PAGE_BYTES;
/// The alignment of a page of 2 MiB, which physical memory is mapped with.
const LARGE_PAGE_BYTES: u64 = 2 << 20;
/// A stack of 1 GiB: more is a mistake.
const STACK_PAGES_MAX: u64 = 0x4_0000;

/// Consecutive virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    name: &'static str,
    /// The first address.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

/// All that the loader maps besides the kernel and the first MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressSpace {
    /// One page.
    pub boot_info: Range,
    /// The stack, and below it a page that stays unmapped.
    pub stack: Range,
    /// Pages of the stack.
    pub stack_pages: u64,
    /// Physical memory: 4 TiB, or what there is room for, 4 GiB at least.
    pub physical: Range,
}

/// Why a place is no good.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Error {
    Unaligned(Range, u64),
    NotCanonical(Range),
    TooLow(Range),
    Overlap(Range, Range),
    StackTooLarge(u64),
    NoRoom(&'static str),
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} ({:#x} to {:#x})", self.name, self.first, self.last)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        use Error::*;
        match self {
            Unaligned(place, to) => write!(f, "the address of {place} is no multiple of {to:#x}"),
            NotCanonical(place) => {
                write!(f, "{place} does not lie at canonical addresses (48 bits)")
            }
            TooLow(place) => write!(
                f,
                "{place} overlaps the first MiB, which is mapped as it is"
            ),
            Overlap(one, other) => write!(f, "{one} overlaps {other}"),
            StackTooLarge(pages) => {
                write!(
                    f,
                    "a stack of {pages} pages; the loader gives {STACK_PAGES_MAX} at most"
                )
            }
            NoRoom(name) => write!(f, "the kernel leaves no virtual addresses for {name}"),
        }
    }
}

impl std::error::Error for Error {}

impl Range {
    fn new(name: &'static str, first: u64, bytes: u64) -> Range {
        Range {
            name,
            first,
            last: first.wrapping_add(bytes - 1),
        }
    }

    fn overlaps(&self, other: &Range) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn check(&self) -> Result<(), Error> {
        let sign = |address: u64| (address as i64) >> 47;
        if self.last < self.first
            || sign(self.first) != sign(self.last)
            || !matches!(sign(self.first), 0 | -1)
        {
            Err(Error::NotCanonical(*self))
        } else if self.first < ONE_MIB {
            Err(Error::TooLow(*self))
        } else {
            Ok(())
        }
    }
}

impl AddressSpace {
    /// Chooses the places: as the manifest wants them, else the usual ones,
    /// moved up by 512 GiB as long as something else is there.
    pub fn choose(kernel: &Kernel, manifest: &Manifest) -> Result<AddressSpace, Error> {
        let stack_pages = manifest.stack_pages.unwrap_or(DEFAULT_STACK_PAGES);
        if stack_pages > STACK_PAGES_MAX {
            return Err(Error::StackTooLarge(stack_pages));
        }
        let stack_bytes = (stack_pages + 1) * PAGE_BYTES;
        let boot_info = |first| Range::new("the boot info", first, PAGE_BYTES);
        let stack = |first| Range::new("the stack", first, stack_bytes);

        let mut taken: Vec<Range> = kernel
            .segments
            .iter()
            .map(|s| pages_of(&s.header))
            .collect();
        taken.extend(manifest.boot_info_address.map(boot_info));
        taken.extend(manifest.stack_address.map(stack));
        // Up to what comes next, if that is less than 4 TiB.
        let asked = manifest.physical_memory_offset.map(|first| {
            let above = taken.iter().map(|place| place.first);
            let next = above.filter(|&above| above > first).min();
            let room = next.unwrap_or(end_of_half(first)).wrapping_sub(first);
            let bytes = room.clamp(FOUR_GIB, PHYSICAL_BYTES) & !(LARGE_PAGE_BYTES - 1);
            Range::new("physical memory", first, bytes)
        });
        taken.extend(asked);

        let boot_info_bytes = match manifest.stack_address {
            None => STACK_OFFSET + stack_pages * PAGE_BYTES, // they stand together
            Some(_) => PAGE_BYTES,
        };
        let boot_info = match manifest.boot_info_address {
            Some(address) => boot_info(address),
            None => boot_info(free(
                PML4_BOOT_INFO,
                boot_info_bytes,
                &taken,
                "the boot info",
            )?),
        };
        let stack = stack(
            manifest
                .stack_address
                .unwrap_or(boot_info.first.wrapping_add(PAGE_BYTES)),
        );
        taken.extend([boot_info, stack]);
        let physical = match asked {
            Some(place) => place,
            None => {
                let first = free(PML4_PHYSICAL, PHYSICAL_BYTES, &taken, "physical memory")?;
                Range::new("physical memory", first, PHYSICAL_BYTES)
            }
        };
        let places = AddressSpace {
            boot_info,
            stack,
            stack_pages,
            physical,
        };
        places.check(kernel)?;
        Ok(places)
    }

    /// How many frames of physical memory there is room to map.
    pub fn frames(&self) -> u32 {
        ((self.physical.last - self.physical.first + 1) / PAGE_BYTES) as u32
    }

    fn check(&self, kernel: &Kernel) -> Result<(), Error> {
        let aligned = [
            (self.boot_info, PAGE_BYTES),
            (self.stack, PAGE_BYTES),
            (self.physical, LARGE_PAGE_BYTES),
        ];
        let mut before: Vec<Range> = kernel
            .segments
            .iter()
            .map(|s| pages_of(&s.header))
            .collect();
        for (place, to) in aligned {
            if place.first % to != 0 {
                return Err(Error::Unaligned(place, to));
            }
            place.check()?;
            if let Some(other) = before.iter().find(|other| place.overlaps(other)) {
                return Err(Error::Overlap(place, *other));
            }
            before.push(place);
        }
        Ok(())
    }
}

/// The address behind the canonical half that this one is in; 0 stands for
/// 2^64.
fn end_of_half(address: u64) -> u64 {
    match address >> 63 {
        0 => 1 << 47,
        _ => 0,
    }
}

/// The pages that a segment is in.
fn pages_of(header: &crate::elf::Header) -> Range {
    let first = header.vaddr & !(PAGE_BYTES - 1);
    let last = (header.vaddr + (header.memsz - 1)) | (PAGE_BYTES - 1);
    Range {
        name: "a segment of the kernel",
        first,
        last,
    }
}

/// The first entry of level 4, from this one on, at which so many bytes are
/// free in 512 GiB that nothing else is in.
fn free(slot: u64, bytes: u64, taken: &[Range], name: &'static str) -> Result<u64, Error> {
    let whole = bytes.next_multiple_of(PML4_ENTRY_BYTES);
    // The lower half of the addresses has 256 entries.
    (slot..256)
        .map(|slot| slot * PML4_ENTRY_BYTES)
        .find(|&first| {
            let place = Range::new(name, first, whole);
            place.check().is_ok() && !taken.iter().any(|other| place.overlaps(other))
        })
        .ok_or(Error::NoRoom(name))
}
