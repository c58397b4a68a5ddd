//! The heap: pages of its own, and an allocator that hands them out.

use linked_list_allocator::LockedHeap;
use x86_64::VirtAddr;
use x86_64::structures::paging::mapper::MapToError;
use x86_64::structures::paging::{FrameAllocator, Mapper, Page, PageTableFlags, Size4KiB};

/// Where the heap begins.
pub const HEAP_START: u64 = 0x4444_4444_0000;
/// How many bytes it has.
pub const HEAP_SIZE: usize = 100 * 1024;

#[global_allocator]
static ALLOCATOR: LockedHeap = LockedHeap::empty();

/// Maps the heap and opens it; to be called once.
///
/// # Errors
///
/// The pages are mapped already, or there are not enough frames.
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
        // SAFETY: page and frame are new, so nobody sees anything change.
        unsafe { mapper.map_to(page, frame, flags, frames)?.flush() };
    }
    // SAFETY: these pages have just been mapped, and a second call fails there.
    unsafe { ALLOCATOR.lock().init(start.as_mut_ptr(), HEAP_SIZE) };
    Ok(())
}
