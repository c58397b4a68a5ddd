//! The loader's page tables and memory map, as the kernel uses them.

#![no_std]
#![no_main]
#![feature(custom_test_frameworks)]
#![test_runner(series::test_runner)]
#![reexport_test_harness_main = "test_main"]

extern crate alloc;

use alloc::vec::Vec;
use bootloader::bootinfo::MemoryRegionType::{self, BootInfo as BootInfoPage, Kernel};
use bootloader::bootinfo::MemoryRegionType::{KernelStack, PageTable, Usable};
use bootloader::{BootInfo, entry_point};
use core::panic::PanicInfo;
use series::memory::{self, BootInfoFrameAllocator, EmptyFrameAllocator};
use series::{allocator, vga_buffer};
use spin::{Mutex, MutexGuard, Once};
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::{FrameAllocator, OffsetPageTable, Page, Translate};
use x86_64::{PhysAddr, VirtAddr};

struct Memory {
    boot_info: &'static BootInfo,
    mapper: OffsetPageTable<'static>,
    frames: BootInfoFrameAllocator,
}

static MEMORY: Once<Mutex<Memory>> = Once::new();

entry_point!(main);

fn main(boot_info: &'static BootInfo) -> ! {
    series::init();
    let offset = VirtAddr::new(boot_info.physical_memory_offset);
    // SAFETY: the loader maps all of physical memory at this offset.
    let mut mapper = unsafe { memory::init(offset) };
    // SAFETY: the loader's memory map is correct, and this is its only user.
    let mut frames = unsafe { BootInfoFrameAllocator::init(&boot_info.memory_map) };
    allocator::init_heap(&mut mapper, &mut frames).expect("the heap can be mapped");
    MEMORY.call_once(|| {
        Mutex::new(Memory {
            boot_info,
            mapper,
            frames,
        })
    });

    test_main();
    series::hlt_loop()
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    series::test_panic_handler(info)
}

fn memory() -> MutexGuard<'static, Memory> {
    MEMORY.get().expect("main has set it").lock()
}

impl Memory {
    fn physical(&self, address: VirtAddr) -> Option<PhysAddr> {
        self.mapper.translate_addr(address)
    }

    /// The kind of memory at an address; panics if the map is ambiguous.
    fn kind(&self, address: PhysAddr) -> Option<MemoryRegionType> {
        let frame = address.as_u64() / 4096;
        let mut holding = self.boot_info.memory_map.iter().filter(|region| {
            let range = &region.range;
            (range.start_frame_number..range.end_frame_number).contains(&frame)
        });
        let region = holding.next()?;
        assert!(holding.next().is_none(), "regions overlap at {address:?}");
        Some(region.region_type)
    }
}

#[test_case]
fn known_addresses() {
    let memory = memory();
    let physical = |address| memory.physical(VirtAddr::new(address));
    let offset = memory.boot_info.physical_memory_offset;
    let screen = vga_buffer::ADDRESS;
    assert_eq!(physical(screen), Some(PhysAddr::new(screen)));
    assert_eq!(physical(offset), Some(PhysAddr::new(0)));
    assert_eq!(physical(offset + screen), Some(PhysAddr::new(screen)));
    assert_eq!(
        physical(offset + 0x123_4567),
        Some(PhysAddr::new(0x123_4567))
    );
    assert_eq!(physical(0xdead_beef), None);
}

#[test_case]
fn memory_in_use_is_not_usable() {
    let memory = memory();
    let on_stack = 0_u8;
    for (address, expected) in [
        (VirtAddr::new(main as *const () as u64), Kernel),
        (VirtAddr::from_ptr(b"constant"), Kernel),
        (VirtAddr::from_ptr(&MEMORY), Kernel),
        (VirtAddr::from_ptr(&on_stack), KernelStack),
        (VirtAddr::from_ptr(memory.boot_info), BootInfoPage),
    ] {
        let physical = memory.physical(address).expect("it is mapped");
        assert_eq!(memory.kind(physical), Some(expected), "{address:?}");
    }
    let table = Cr3::read().0.start_address();
    assert_eq!(memory.kind(table), Some(PageTable), "{table:?}");
}

#[test_case]
fn page_0_needs_no_frame() {
    let page = Page::containing_address(VirtAddr::new(0));
    let mapper = &mut memory().mapper;
    let mapped = memory::map_to_screen(page, mapper, &mut EmptyFrameAllocator);
    mapped.expect("the page table for page 0 exists");
    assert!(memory::write_new(page, 20));
}

#[test_case]
fn a_page_far_away() {
    let page = Page::containing_address(VirtAddr::new(0xdea_dbea_f000));
    let Memory { mapper, frames, .. } = &mut *memory();
    let mapped = memory::map_to_screen(page, mapper, &mut EmptyFrameAllocator);
    mapped.expect_err("there are no tables yet");
    let mapped = memory::map_to_screen(page, mapper, frames);
    mapped.expect("with frames it can be mapped");
    assert!(memory::write_new(page, 22));
    assert_eq!(
        mapper.translate_addr(page.start_address()),
        Some(PhysAddr::new(vga_buffer::ADDRESS))
    );
}

#[test_case]
fn no_frame_is_allocated_twice() {
    let memory = memory();
    let map = &memory.boot_info.memory_map;
    // SAFETY: the frames are not used.
    let mut all = unsafe { BootInfoFrameAllocator::init(map) };
    let mut end = 1; // frame 0 is never free
    while let Some(frame) = all.allocate_frame() {
        let number = frame.start_address().as_u64() / 4096;
        assert!(number >= end, "{frame:?} is allocated twice");
        end = number + 1;
    }
    assert!(end > 256, "no memory above 1 MiB");
}

#[test_case]
fn frames_can_be_used() {
    const COUNT: usize = 1000;
    let mut memory = memory();
    let frames: Vec<u64> = (0..COUNT)
        .map_while(|_| memory.frames.allocate_frame())
        .map(|frame| frame.start_address().as_u64())
        .collect();
    assert_eq!(frames.len(), COUNT);

    let offset = memory.boot_info.physical_memory_offset;
    let words = |frame| {
        let words = (offset + frame) as *mut u64;
        (0..512).map(move |index| (words.wrapping_add(index), !frame ^ index as u64))
    };
    for &frame in &frames {
        assert_eq!(memory.kind(PhysAddr::new(frame)), Some(Usable));
        for (word, value) in words(frame) {
            // SAFETY: the frame was allocated above, and physical memory is mapped.
            unsafe { word.write_volatile(value) };
        }
    }
    for &frame in &frames {
        for (word, value) in words(frame) {
            // SAFETY: as above.
            assert_eq!(unsafe { word.read_volatile() }, value, "{word:?}");
        }
    }
}
