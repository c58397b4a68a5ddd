//! A kernel like the one that the series "Writing an OS in Rust" builds:
//! exceptions and hardware interrupts, its own mappings, a heap, and tests that
//! run inside QEMU.
//!
//! It shows that such a kernel boots unchanged: nothing in it depends on which
//! loader started it. Only the `runner` in `.cargo/config.toml` differs.

#![no_std]
#![cfg_attr(test, no_main)]
#![feature(abi_x86_interrupt)]
#![feature(custom_test_frameworks)]
#![test_runner(crate::test_runner)]
#![reexport_test_harness_main = "test_main"]
#![deny(unsafe_op_in_unsafe_fn)]
#![cfg_attr(not(test), warn(missing_docs))]

extern crate alloc;

pub mod allocator;
pub mod gdt;
pub mod interrupts;
pub mod keyboard;
pub mod memory;
pub mod serial;
pub mod vga_buffer;

use core::any::type_name;
use core::panic::PanicInfo;
use x86_64::instructions::{hlt, port::Port};

/// Initializes descriptors and interrupts, and enables interrupts.
pub fn init() {
    gdt::init();
    interrupts::init();
    x86_64::instructions::interrupts::enable();
}

/// Halts forever; interrupts are still handled.
pub fn hlt_loop() -> ! {
    loop {
        hlt();
    }
}

/// A test that prints its name before it runs, and `[ok]` after it.
pub trait Testable {
    /// Runs the test; panics if it fails.
    fn run(&self);
}

impl<T: Fn()> Testable for T {
    fn run(&self) {
        serial_print!("{}...\t", type_name::<T>());
        self();
        serial_println!("[ok]");
    }
}

/// Runs all tests, then ends QEMU.
pub fn test_runner(tests: &[&dyn Testable]) {
    serial_println!("Running {} tests", tests.len());
    for test in tests {
        test.run();
    }
    exit_qemu(QemuExitCode::Success);
}

/// Handles the panic of a failed test.
pub fn test_panic_handler(info: &PanicInfo) -> ! {
    serial_println!("[failed]\n\nError: {info}\n");
    exit_qemu(QemuExitCode::Failed)
}

/// A value for the device `isa-debug-exit`: for a value of n, QEMU's exit status
/// is (n << 1) | 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum QemuExitCode {
    /// Success: QEMU's exit status is 33.
    Success = 0x10,
    /// Failure: QEMU's exit status is 35.
    Failed = 0x11,
}

/// Exits QEMU; halts if there is no such device.
pub fn exit_qemu(code: QemuExitCode) -> ! {
    // SAFETY: no other device uses this port, and QEMU's device only ends QEMU.
    unsafe { Port::new(0xf4).write(code as u32) };
    hlt_loop()
}

#[cfg(test)]
bootloader::entry_point!(test_kernel_main);

#[cfg(test)]
fn test_kernel_main(_boot_info: &'static bootloader::BootInfo) -> ! {
    init();
    test_main();
    hlt_loop()
}

#[cfg(test)]
#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    test_panic_handler(info)
}
