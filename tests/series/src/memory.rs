//! The page tables, accessed through the mapping of physical memory, and the
//! usable frames in the memory map.

use crate::vga_buffer;
use bootloader::bootinfo::{MemoryMap, MemoryRegion, MemoryRegionType};
use core::{ops::Range, slice};
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::mapper::MapToError;
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

/// The active page tables.
///
/// # Safety
///
/// All of physical memory must be mapped at this offset, and nothing else may use
/// the tables while the result is alive.
pub unsafe fn init(physical_memory_offset: VirtAddr) -> OffsetPageTable<'static> {
    let (pml4, _) = Cr3::read();
    let table = physical_memory_offset + pml4.start_address().as_u64();
    let table: *mut PageTable = table.as_mut_ptr();
    // SAFETY: the caller guarantees the mapping and exclusive access.
    unsafe { OffsetPageTable::new(&mut *table, physical_memory_offset) }
}

/// Allocates the usable frames of the loader's memory map in order.
pub struct BootInfoFrameAllocator {
    regions: slice::Iter<'static, MemoryRegion>,
    frames: Range<u64>,
}

impl BootInfoFrameAllocator {
    /// Starts with the first usable frame.
    ///
    /// # Safety
    ///
    /// The frames that the map calls usable must be unused, and no other allocator
    /// may allocate them.
    pub unsafe fn init(memory_map: &'static MemoryMap) -> Self {
        Self {
            regions: memory_map.iter(),
            frames: 0..0,
        }
    }
}

// SAFETY: the regions do not overlap, so no frame is allocated twice.
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

/// Has no frames; for mappings that should not need any.
pub struct EmptyFrameAllocator;

// SAFETY: it never allocates a frame.
unsafe impl FrameAllocator<Size4KiB> for EmptyFrameAllocator {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        None
    }
}

/// Maps a page to the screen.
///
/// # Errors
///
/// The page is already mapped, or a page table is needed and there is no frame.
pub fn map_to_screen(
    page: Page,
    mapper: &mut impl Mapper<Size4KiB>,
    frames: &mut impl FrameAllocator<Size4KiB>,
) -> Result<(), MapToError<Size4KiB>> {
    let screen = PhysFrame::containing_address(PhysAddr::new(vga_buffer::ADDRESS));
    let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
    // SAFETY: the screen is not memory that Rust manages, so it may be mapped twice.
    let mapped = unsafe { mapper.map_to(page, screen, flags, frames) };
    mapped.map(|flush| flush.flush())
}

/// Writes `New!`, black on white, at the right end of a row of the screen,
/// through a page that is mapped to it. Returns whether the screen shows it.
pub fn write_new(page: Page, row: usize) -> bool {
    let cells = b"New!".map(|byte| u16::from_le_bytes([byte, 0xf0]));
    let column = vga_buffer::COLUMNS - cells.len();
    let start: *mut u16 = page.start_address().as_mut_ptr();
    let mut shown = true;
    for (column, cell) in (column..).zip(cells) {
        let pointer = start.wrapping_add(row * vga_buffer::COLUMNS + column);
        // SAFETY: the page is mapped to the screen, which takes 4,000 of its 4,096
        // bytes.
        unsafe { pointer.write_volatile(cell) };
        shown &= vga_buffer::get(row, column) == cell;
    }
    shown
}
