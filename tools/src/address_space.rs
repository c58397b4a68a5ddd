//! Chooses the virtual addresses of what the loader maps for a kernel: the boot
//! info, the stack, and all of physical memory.
//!
//! `docs/protocol.md` has the rules. The loader refuses a segment that overlaps
//! one of these ranges (`boot/elf.s`).

use crate::elf::Kernel;
use crate::layout::*;
use crate::manifest::Manifest;
use std::fmt;

/// Bytes of physical memory that the loader manages: 4 TiB.
const PHYSICAL_BYTES: u64 = FRAMES_MAX * PAGE_BYTES;
/// The size of the large pages that map physical memory: 2 MiB.
const LARGE_PAGE_BYTES: u64 = 2 << 20;

/// Consecutive virtual addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    name: &'static str,
    /// The first address.
    pub first: u64,
    /// The last address.
    pub last: u64,
}

/// The ranges that the loader maps besides the kernel and the first MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressSpace {
    /// The boot info: one page.
    pub boot_info: Range,
    /// The guard page, which stays unmapped, and the stack above it.
    pub stack: Range,
    /// The size of the stack in pages.
    pub stack_pages: u64,
    /// Physical memory: 4 TiB, or less if there is no room, but at least 4 GiB.
    pub physical: Range,
    /// The address of the PML4 through its entry for itself, if it has one.
    pub recursive: Option<u64>,
}

/// Why a range cannot be used.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Error {
    Unaligned(Range, u64),
    NotCanonical(Range),
    TooLow(Range),
    Overlap(Range, Range),
    StackTooLarge(u64),
    NoRoom(&'static str),
    ModulesNotMapped,
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
            Unaligned(range, to) => {
                write!(f, "the address of {range} is not a multiple of {to:#x}")
            }
            NotCanonical(range) => {
                write!(f, "{range} is not within the canonical addresses (48 bits)")
            }
            TooLow(range) => write!(
                f,
                "{range} overlaps the first MiB, which is identity-mapped"
            ),
            Overlap(one, other) => write!(f, "{one} overlaps {other}"),
            StackTooLarge(pages) => {
                write!(
                    f,
                    "a stack of {pages} pages is too large; the maximum is {STACK_PAGES_MAX}"
                )
            }
            NoRoom(name) => write!(f, "the kernel leaves no free virtual addresses for {name}"),
            ModulesNotMapped => write!(
                f,
                "a command line or a ramdisk needs the feature map_physical_memory of the \
                 bootloader crate: it is where the kernel finds them"
            ),
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
    /// Chooses the ranges: the addresses from the manifest, or else the defaults,
    /// moved up in steps of 512 GiB until they are free.
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
        let requested = manifest.physical_memory_offset;
        let requested = requested.map(|first| physical_memory(first, &taken));
        taken.extend(requested);

        // The crate gives out PML4 entries in their order: the first for its own use,
        // which the kernel gets, too, with the feature recursive_page_table.
        let mut recursive = None;
        if let Some(features) = manifest.crate09 {
            let name = "the recursive page table";
            let first = free(1, PML4_ENTRY_BYTES, &taken, name)?;
            taken.push(Range::new(name, first, PML4_ENTRY_BYTES));
            recursive = features.is_recursive().then_some(recursive_address(first));
        }
        let boot_info_bytes = match manifest.stack_address {
            None => STACK_OFFSET + stack_pages * PAGE_BYTES, // the stack follows it
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
        let physical = match requested {
            Some(range) => range,
            None if manifest.crate09.is_some() => {
                let first = free(1, PML4_ENTRY_BYTES, &taken, "physical memory")?;
                physical_memory(first, &taken)
            }
            None => {
                let first = free(PML4_PHYSICAL, PHYSICAL_BYTES, &taken, "physical memory")?;
                Range::new("physical memory", first, PHYSICAL_BYTES)
            }
        };
        let space = AddressSpace {
            boot_info,
            stack,
            stack_pages,
            physical,
            recursive,
        };
        space.check(kernel)?;
        Ok(space)
    }

    /// The number of frames of physical memory that the range can map.
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
        for (range, alignment) in aligned {
            if range.first % alignment != 0 {
                return Err(Error::Unaligned(range, alignment));
            }
            range.check()?;
            if let Some(other) = before.iter().find(|other| range.overlaps(other)) {
                return Err(Error::Overlap(range, *other));
            }
            before.push(range);
        }
        Ok(())
    }
}

/// Physical memory from this address on: up to the next range or the end of this
/// half, at most 4 TiB.
fn physical_memory(first: u64, taken: &[Range]) -> Range {
    let above = taken.iter().map(|range| range.first);
    let next = above
        .filter(|&above| above > first)
        .map(|above| above - first);
    let room = next.fold(end_of_half(first).wrapping_sub(first), u64::min);
    let bytes = room.clamp(FOUR_GIB, PHYSICAL_BYTES) & !(LARGE_PAGE_BYTES - 1);
    Range::new("physical memory", first, bytes)
}

/// The address of the PML4 through the entry for itself that covers `first`: the
/// index of that entry four times.
fn recursive_address(first: u64) -> u64 {
    let index = first / PML4_ENTRY_BYTES;
    (0..4).fold(0, |address, level| address | index << (12 + 9 * level))
}

/// The end (exclusive) of the canonical half that contains this address; 0 means
/// 2^64.
fn end_of_half(address: u64) -> u64 {
    match address >> 63 {
        0 => 1 << 47,
        _ => 0,
    }
}

/// The pages that a segment occupies.
fn pages_of(header: &crate::elf::Header) -> Range {
    let first = header.vaddr & !(PAGE_BYTES - 1);
    let last = (header.vaddr + (header.memsz - 1)) | (PAGE_BYTES - 1);
    Range {
        name: "a segment of the kernel",
        first,
        last,
    }
}

/// The address of the first PML4 entry, from this index on, whose range is free.
/// Sizes are rounded up to whole entries of 512 GiB.
fn free(index: u64, bytes: u64, taken: &[Range], name: &'static str) -> Result<u64, Error> {
    let whole = bytes.next_multiple_of(PML4_ENTRY_BYTES);
    // The lower half of the address space has 256 entries.
    (index..256)
        .map(|index| index * PML4_ENTRY_BYTES)
        .find(|&first| {
            let range = Range::new(name, first, whole);
            range.check().is_ok() && !taken.iter().any(|other| range.overlaps(other))
        })
        .ok_or(Error::NoRoom(name))
}
