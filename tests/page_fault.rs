//! A page fault tells the address, and what was tried.

#![no_std]
#![no_main]

use siso_os::BootInfo;
use siso_os::exceptions::{Exception, PAGE_FAULT};
use siso_os::testing::{self, should_fault};

/// Nothing is mapped there: between the kernel and the boot info.
const NOWHERE: *mut u64 = 0xdead_b008 as *mut u64;

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    testing::start(boot_info, || {
        should_fault("a_page_fault_tells_the_address", check, write_to_nowhere)
    })
}

fn write_to_nowhere() {
    // SAFETY: nothing is written, the CPU refuses to.
    unsafe { NOWHERE.write_volatile(1) }
}

fn check(exception: &Exception) {
    assert_eq!(exception.vector, PAGE_FAULT);
    assert_eq!(exception.error_code, 0b10, "no page, a write");
    assert_eq!(exception.cr2, NOWHERE as u64);
}
