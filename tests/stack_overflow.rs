//! A stack overflow hits the guard page below the stack, and the double fault
//! handler has its own stack.

#![no_std]
#![no_main]

use core::hint::black_box;
use siso_os::BootInfo;
use siso_os::exceptions::{DOUBLE_FAULT, Exception};
use siso_os::testing::{self, should_fault};

const PAGE: u64 = 4096;

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    testing::start(boot_info, || {
        should_fault("endless_recursion_hits_the_guard_page", check, || {
            endless(0);
        })
    })
}

/// Each call needs more stack than the size of the guard page; the compiler
/// touches every page on the way down (`stack-probes` in the target's JSON).
#[allow(unconditional_recursion)]
fn endless(depth: u64) -> u64 {
    let frame = [depth; 3 * PAGE as usize / 8];
    // The addition after the call prevents a tail call.
    endless(depth + 1) + black_box(&frame)[0]
}

fn check(exception: &Exception) {
    // The loader's protocol: boot info, guard page, stack.
    let guard = &raw const *testing::boot_info() as u64 + PAGE;
    assert_eq!(exception.vector, DOUBLE_FAULT);
    assert_eq!(exception.cr2 & !(PAGE - 1), guard);
    let here = &raw const guard as u64;
    assert!(here < guard, "{here:#x} is on the full stack");
}
