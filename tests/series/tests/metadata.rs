//! The requests in `[package.metadata.bootloader]` of `Cargo.toml` are honoured.

#![no_std]
#![no_main]
#![feature(custom_test_frameworks)]
#![test_runner(series::test_runner)]
#![reexport_test_harness_main = "test_main"]

use bootloader::bootinfo::MemoryRegionType::KernelStack;
use bootloader::{BootInfo, entry_point};
use core::hint::black_box;
use core::panic::PanicInfo;
use series::memory;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::structures::paging::{Page, Size4KiB, Translate};

const PHYSICAL_MEMORY_OFFSET: u64 = 0xffff_8000_0000_0000;
const STACK_PAGES: u64 = 256;

static BOOT_INFO: Once<&'static BootInfo> = Once::new();

entry_point!(main);

fn main(boot_info: &'static BootInfo) -> ! {
    series::init();
    BOOT_INFO.call_once(|| boot_info);
    test_main();
    series::hlt_loop()
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    series::test_panic_handler(info)
}

fn boot_info() -> &'static BootInfo {
    BOOT_INFO.get().expect("main has set it")
}

/// The number of consecutive mapped pages, starting with the first.
fn mapped(pages: impl Iterator<Item = Page>) -> u64 {
    let offset = VirtAddr::new(boot_info().physical_memory_offset);
    // SAFETY: the loader maps all of physical memory there; no table changes.
    let tables = unsafe { memory::init(offset) };
    let is_mapped = |page: &Page| tables.translate_addr(page.start_address()).is_some();
    pages.take_while(is_mapped).count() as u64
}

#[test_case]
fn physical_memory_offset() {
    assert_eq!(boot_info().physical_memory_offset, PHYSICAL_MEMORY_OFFSET);
}

#[test_case]
fn stack_is_usable() {
    const BYTES: usize = 900 * 1024;
    let mut large = [0_u8; BYTES];
    for page in black_box(&mut large).chunks_mut(4096) {
        page.fill(0xa5);
    }
    assert!(black_box(&large).iter().all(|byte| *byte == 0xa5));
}

#[test_case]
fn stack_has_the_requested_size() {
    let on_stack = 0_u8;
    let here: Page<Size4KiB> = Page::containing_address(VirtAddr::from_ptr(&raw const on_stack));
    let below = mapped((0..).map(|index| here - index));
    let above = mapped((1..).map(|index| here + index));
    assert_eq!(below + above, STACK_PAGES);

    let regions = boot_info().memory_map.iter();
    let stack = regions.filter(|region| region.region_type == KernelStack);
    let ranges = stack.map(|region| region.range);
    let frames: u64 = ranges
        .map(|range| range.end_frame_number - range.start_frame_number)
        .sum();
    assert_eq!(frames, STACK_PAGES);
}
