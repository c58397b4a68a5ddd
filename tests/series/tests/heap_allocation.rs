//! The heap allocates and frees memory.

#![no_std]
#![no_main]
#![feature(custom_test_frameworks)]
#![test_runner(series::test_runner)]
#![reexport_test_harness_main = "test_main"]

extern crate alloc;

use alloc::{boxed::Box, rc::Rc, vec::Vec};
use bootloader::{BootInfo, entry_point};
use core::panic::PanicInfo;
use series::allocator::{self, HEAP_SIZE};
use series::memory::{self, BootInfoFrameAllocator};
use x86_64::VirtAddr;

/// Each takes 16 bytes, so only half of these fit at once.
const BOXES: usize = 2 * HEAP_SIZE / 16;

entry_point!(main);

fn main(boot_info: &'static BootInfo) -> ! {
    series::init();
    let offset = VirtAddr::new(boot_info.physical_memory_offset);
    // SAFETY: the loader maps all of physical memory at this offset.
    let mut mapper = unsafe { memory::init(offset) };
    // SAFETY: the loader's memory map is correct, and this is its only user.
    let mut frames = unsafe { BootInfoFrameAllocator::init(&boot_info.memory_map) };
    allocator::init_heap(&mut mapper, &mut frames).expect("the heap can be mapped");

    test_main();
    series::hlt_loop()
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    series::test_panic_handler(info)
}

#[test_case]
fn boxes() {
    let (one, other) = (Box::new(41), Box::new(13));
    assert_eq!((*one, *other), (41, 13));
}

#[test_case]
fn a_vector_that_grows() {
    let mut numbers = Vec::new();
    for number in 0..1000_u64 {
        numbers.push(number);
    }
    assert_eq!(numbers.iter().sum::<u64>(), 999 * 1000 / 2);
}

#[test_case]
fn counted_references() {
    let counted = Rc::new([1, 2, 3]);
    let cloned = Rc::clone(&counted);
    assert_eq!(Rc::strong_count(&cloned), 2);
    drop(counted);
    assert_eq!((Rc::strong_count(&cloned), *cloned), (1, [1, 2, 3]));
}

#[test_case]
fn more_boxes_than_fit_at_once() {
    for number in 0..BOXES {
        assert_eq!(*Box::new(number), number);
    }
}

#[test_case]
fn more_boxes_next_to_a_long_lived_one() {
    let long_lived = Box::new(1);
    for number in 0..BOXES {
        assert_eq!(*Box::new(number), number);
    }
    assert_eq!(*long_lived, 1);
}

#[test_case]
fn nearly_the_whole_heap_at_once() {
    let bytes: Vec<u8> = (0..HEAP_SIZE - 1024).map(|index| index as u8).collect();
    assert!((0..).zip(&bytes).all(|(index, byte)| index as u8 == *byte));
}
