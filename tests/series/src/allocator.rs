//! The heap: its pages, and the allocator that manages them.

use linked_list_allocator::LockedHeap;
use x86_64::VirtAddr;
use x86_64::structures::paging::mapper::MapToError;
use x86_64::structures::paging::{FrameAllocator, Mapper, Page, PageTableFlags, Size4KiB};

/// The address of the heap.
pub const HEAP_START: u64 = 0x4444_4444_0000;
/// The size of the heap in bytes.
pub const HEAP_SIZE: usize = 100 * 1024;

#[global_allocator]
static ALLOCATOR: LockedHeap = LockedHeap::empty();

/// Maps and initializes the heap; to be called once.
///
/// # Errors
///
/// The pages are already mapped, or there are not enough frames.
pub fn init_heap(
    mapper: &mut impl Mapper<Size4KiB>,
    frames: &mut impl FrameAllocator<Size4KiB>,
) -> Result<(), MapToError<Size4KiB>> {
    let start = VirtAddr::new(HEAP_START);
    let end = start + (HEAP_SIZE - 1) as u64;
    let pages = Page::range_inclusive(
        Page::containing_address(start),
        Page::containing_address(end),
    );
    for page in pages {
        let frame = frames
            .allocate_frame()
            .ok_or(MapToError::FrameAllocationFailed)?;
        let flags = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
        // SAFETY: page and frame are unused, so no existing mapping changes.
        unsafe { mapper.map_to(page, frame, flags, frames)?.flush() };
    }
    // SAFETY: these pages were just mapped, and a second call would have failed.
    unsafe { ALLOCATOR.lock().init(start.as_mut_ptr(), HEAP_SIZE) };
    Ok(())
}
