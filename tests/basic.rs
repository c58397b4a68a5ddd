//! What every kernel relies on: printing, and the boot info.
//!
//! Also a template for your own tests: the attributes, `_start`, and the
//! functions marked `#[test_case]`.

#![no_std]
#![no_main]
#![feature(custom_test_frameworks)]
#![test_runner(siso_os::testing::run)]
#![reexport_test_harness_main = "all_tests"]

use siso_os::boot_info::Kind;
use siso_os::testing::{self, boot_info};
use siso_os::{BootInfo, println, serial_print};

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    testing::start(boot_info, all_tests)
}

#[test_case]
fn printing_works() {
    println!("to the screen: {}", 42);
    serial_print!("and to the serial line, ");
}

#[test_case]
fn the_boot_info_is_from_this_loader() {
    let loader = boot_info().loader;
    assert_eq!(&loader.magic, b"siso_os1");
    assert!(loader.size as usize >= size_of::<BootInfo>());
}

#[test_case]
fn regions_are_sorted() {
    let regions = boot_info().regions();
    assert!(!regions.is_empty());
    for region in regions {
        assert!(region.start_frame < region.end_frame, "{region:?}");
    }
    for pair in regions.windows(2) {
        assert!(pair[0].end_frame <= pair[1].start_frame, "{pair:?}");
    }
}

#[test_case]
fn the_kernel_is_in_the_memory_map() {
    let regions = boot_info().regions();
    for kind in [Kind::USABLE, Kind::KERNEL, Kind::KERNEL_STACK] {
        assert!(regions.iter().any(|region| region.kind == kind), "{kind:?}");
    }
}

/// The screen is visible at both of its virtual addresses.
#[test_case]
fn physical_memory_is_mapped() {
    siso_os::vga::clear();
    println!("Hello World!");
    let screen = boot_info().virtual_address(0xb8000).cast::<u16>();
    // SAFETY: physical memory, including the screen, is mapped there.
    let cell = unsafe { screen.read_volatile() };
    assert_eq!(cell, 0x0b00 | u16::from(b'H'));
}
