//! Page tables, seen through the mapping of physical memory, and the frames
//! that the memory map says are free.

use crate::vga_buffer;
use bootloader::bootinfo::{MemoryMap, MemoryRegion, MemoryRegionType};
use core::{ops::Range, slice};
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::mapper::MapToError;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

/// The page tables that are in use.
///
/// # Safety
///
/// All of physical memory must be mapped at this offset, and the tables must
/// be nobody else's as long as the result lives.
pub unsafe fn init(physical_memory_offset: VirtAddr) -> OffsetPageTable<'static> {
    let (level_4, _) = Cr3::read();
    let table = physical_memory_offset + level_4.start_address().as_u64();
    let table: *mut PageTable = table.as_mut_ptr();
    // SAFETY: the caller vouches for the mapping, and that there is no other.
    unsafe { OffsetPageTable::new(&mut *table, physical_memory_offset) }
}

/// Hands out the usable frames of the loader's memory map, in its order.
pub struct BootInfoFrameAllocator {
    regions: slice::Iter<'static, MemoryRegion>,
    frames: Range<u64>,
}

impl BootInfoFrameAllocator {
    /// Begins with the first usable frame.
    ///
    /// # Safety
    ///
    /// What the map calls usable must be unused, and no other allocator may
    /// hand it out.
    pub unsafe fn init(memory_map: &'static MemoryMap) -> Self {
        Self {
            regions: memory_map.iter(),
            frames: 0..0,
        }
    }
}

// SAFETY: the map's regions do not overlap, so no frame comes twice.
unsafe impl FrameAllocator<Size4KiB> for BootInfoFrameAllocator {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        loop {
            if let Some(frame) = self.frames.next() {
                return Some(PhysFrame::containing_address(PhysAddr::new(frame * 4096)));
            }
            let usable = |region: &&MemoryRegion| region.region_type == MemoryRegionType::Usable;
            let range = self.regions.find(usable)?.range;
            self.frames = range.start_frame_number..range.end_frame_number;
        }
    }
}

/// Has no frames, for mappings that should need none.
pub struct EmptyFrameAllocator;

// SAFETY: what is never handed out is never handed out twice.
unsafe impl FrameAllocator<Size4KiB> for EmptyFrameAllocator {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        None
    }
}

/// Maps a page to the screen.
///
/// # Errors
///
/// The page is mapped already, or a table is needed and there is no frame.
pub fn map_to_screen(
    page: Page,
    mapper: &mut impl Mapper<Size4KiB>,
    frames: &mut impl FrameAllocator<Size4KiB>,
) -> Result<(), MapToError<Size4KiB>> {
    let screen = PhysFrame::containing_address(PhysAddr::new(vga_buffer::ADDRESS));
    let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
    // SAFETY: the screen is no memory of Rust's; it may be mapped twice.
    let mapped = unsafe { mapper.map_to(page, screen, flags, frames) };
    mapped.map(|flush| flush.flush())
}

/// Writes `New!`, black on white, to the right end of a row of the screen
/// through a page that is mapped to it; says whether it is there to see.
pub fn write_new(page: Page, row: usize) -> bool {
    let cells = b"New!".map(|byte| u16::from_le_bytes([byte, 0xf0]));
    let column = vga_buffer::COLUMNS - cells.len();
    let start: *mut u16 = page.start_address().as_mut_ptr();
    let mut seen = true;
    for (column, cell) in (column..).zip(cells) {
        let there = start.wrapping_add(row * vga_buffer::COLUMNS + column);
        // SAFETY: the page is mapped to the screen, 4,000 bytes of its 4,096.
        unsafe { there.write_volatile(cell) };
        seen &= vga_buffer::get(row, column) == cell;
    }
    seen
}
