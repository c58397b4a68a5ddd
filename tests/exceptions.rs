//! Exceptions whose handlers return.

#![no_std]
#![no_main]
#![feature(custom_test_frameworks)]
#![test_runner(siso_os::testing::run)]
#![reexport_test_harness_main = "all_tests"]

use core::arch::asm;
use siso_os::{BootInfo, cpu, exceptions, testing};

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    testing::start(boot_info, all_tests)
}

#[test_case]
fn a_breakpoint_returns() {
    cpu::breakpoint();
}

#[test_case]
fn a_breakpoint_preserves_the_registers() {
    let mut values: [u64; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
    let [a, c, d, si, di, r8, r9, r10, r11, r12, r13, r14, r15] = &mut values;
    // SAFETY: the breakpoint handler returns and has no other effect.
    unsafe {
        asm!(
            "int3",
            inout("rax") * a,
            inout("rcx") * c,
            inout("rdx") * d,
            inout("rsi") * si,
            inout("rdi") * di,
            inout("r8") * r8,
            inout("r9") * r9,
            inout("r10") * r10,
            inout("r11") * r11,
            inout("r12") * r12,
            inout("r13") * r13,
            inout("r14") * r14,
            inout("r15") * r15
        );
    }
    assert_eq!(values, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
}

#[test_case]
fn init_can_be_called_again() {
    exceptions::init();
    cpu::breakpoint();
}
