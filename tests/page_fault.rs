//! A page fault reports the address and the kind of access.

#![no_std]
#![no_main]

use siso_os::BootInfo;
use siso_os::exceptions::{Exception, PAGE_FAULT};
use siso_os::testing::{self, should_fault};

/// An unmapped address between the kernel and the boot info.
const UNMAPPED: *mut u64 = 0xdead_b008 as *mut u64;

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    testing::start(boot_info, || {
        should_fault("a_page_fault_reports_the_address", check, write_to_unmapped)
    })
}

fn write_to_unmapped() {
    // SAFETY: the CPU faults before anything is written.
    unsafe { UNMAPPED.write_volatile(1) }
}

fn check(exception: &Exception) {
    assert_eq!(exception.vector, PAGE_FAULT);
    assert_eq!(exception.error_code, 0b10, "not present, a write");
    assert_eq!(exception.cr2, UNMAPPED as u64);
}
