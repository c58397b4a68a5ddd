//! A kernel that calls itself without end.
//!
//! `cargo run --example stack_overflow` ends in a double fault: the stack grows
//! down into its guard page, where nothing is mapped. That is a page fault, but
//! the CPU cannot push what its handler wants to know: the stack is full. The
//! double fault has a stack of its own, so this can still be shown.

#![no_std]
#![no_main]

use core::hint::black_box;
use siso_os::{BootInfo, exceptions, println};

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    println!("Calling the same function again and again:");
    panic!("it came back with {}", endless(0));
}

#[allow(unconditional_recursion)]
fn endless(depth: u64) -> u64 {
    // What is left to do after the call keeps it from becoming a jump.
    endless(black_box(depth + 1)) + black_box(depth)
}
