//! A kernel that recurses endlessly.
//!
//! `cargo run --example stack_overflow` ends in a double fault: the stack grows
//! down into its guard page, which is not mapped. The result is a page fault, but
//! the CPU cannot push the exception frame, because the stack is full. The double
//! fault has its own stack, so the handler can still run.

#![no_std]
#![no_main]

use core::hint::black_box;
use siso_os::{BootInfo, exceptions, println};

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    println!("Calling the same function again and again:");
    panic!("the function returned {}", endless(0));
}

#[allow(unconditional_recursion)]
fn endless(depth: u64) -> u64 {
    // The addition after the call prevents a tail call.
    endless(black_box(depth + 1)) + black_box(depth)
}
