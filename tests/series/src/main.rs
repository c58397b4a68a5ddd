//! Exercises each of the modules, then halts.

#![no_std]
#![no_main]
#![feature(custom_test_frameworks)]
#![test_runner(series::test_runner)]
#![reexport_test_harness_main = "test_main"]

extern crate alloc;

use alloc::{boxed::Box, rc::Rc, vec::Vec};
use bootloader::{BootInfo, entry_point};
use core::panic::PanicInfo;
use series::memory::{self, BootInfoFrameAllocator, EmptyFrameAllocator};
use series::{allocator, interrupts, keyboard, vga_buffer};
use x86_64::VirtAddr;
use x86_64::structures::paging::{OffsetPageTable, Page, Translate};

/// Prints a line to the screen and to the serial port.
macro_rules! report {
    ($($arg:tt)*) => {{
        series::println!($($arg)*);
        series::serial_println!($($arg)*);
    }};
}

entry_point!(kernel_main);

fn kernel_main(boot_info: &'static BootInfo) -> ! {
    report!("Hello World!");
    series::init();

    #[cfg(test)]
    test_main();

    x86_64::instructions::interrupts::int3();
    report!("breakpoint: handled");
    timer();
    key();

    let offset = VirtAddr::new(boot_info.physical_memory_offset);
    // SAFETY: the loader maps all of physical memory at this offset.
    let mut mapper = unsafe { memory::init(offset) };
    // SAFETY: the loader's memory map is correct, and this is its only user.
    let mut frames = unsafe { BootInfoFrameAllocator::init(&boot_info.memory_map) };
    translate(&mapper, boot_info);
    map(&mut mapper, &mut frames);
    allocator::init_heap(&mut mapper, &mut frames).expect("the heap can be mapped");
    heap();

    report!("It did not crash!");
    series::hlt_loop()
}

fn timer() {
    interrupts::wait_for_ticks(3);
    report!("timer: {} ticks", interrupts::ticks());
}

fn key() {
    keyboard::inject(keyboard::SCANCODE_A);
    let scancode = keyboard::wait_for_scancode().expect("a key was pressed");
    series::println!(); // end the line of the character that the key printed
    report!("keyboard: scancode {scancode:#x}");
}

fn translate(mapper: &OffsetPageTable, boot_info: &BootInfo) {
    let here = 0_u8;
    for (what, address) in [
        ("the screen", VirtAddr::new(vga_buffer::ADDRESS)),
        ("code", VirtAddr::new(kernel_main as *const () as u64)),
        ("the stack", VirtAddr::from_ptr(&here)),
        ("the boot info", VirtAddr::from_ptr(boot_info)),
        (
            "physical memory",
            VirtAddr::new(boot_info.physical_memory_offset),
        ),
    ] {
        match mapper.translate_addr(address) {
            Some(physical) => report!("{what}: {address:?} -> {physical:?}"),
            None => panic!("{what} at {address:?} is not mapped"),
        }
    }
}

fn map(mapper: &mut OffsetPageTable, frames: &mut BootInfoFrameAllocator) {
    // The page table for page 0 already exists: it also maps the screen.
    let page = Page::containing_address(VirtAddr::new(0));
    memory::map_to_screen(page, mapper, &mut EmptyFrameAllocator).expect("page 0 can be mapped");
    assert!(memory::write_new(page, 16), "page 0 is not the screen");
    report!("page 0: mapped");

    let page = Page::containing_address(VirtAddr::new(0xdea_dbea_f000));
    memory::map_to_screen(page, mapper, frames).expect("a new page can be mapped");
    assert!(memory::write_new(page, 18), "the page is not the screen");
    report!("new page: mapped");
}

fn heap() {
    let boxed = Box::new(41);
    let numbers: Vec<u32> = (0..500).collect();
    let counted = Rc::new(numbers);
    let cloned = Rc::clone(&counted);
    assert_eq!(*boxed, 41);
    assert_eq!(cloned.iter().sum::<u32>(), 499 * 500 / 2);
    assert_eq!(Rc::strong_count(&cloned), 2);
    drop(counted);
    assert_eq!(Rc::strong_count(&cloned), 1);
    report!("heap: ok");
}

#[cfg(not(test))]
#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    report!("{info}");
    series::hlt_loop()
}

#[cfg(test)]
#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    series::test_panic_handler(info)
}
