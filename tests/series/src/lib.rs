//! A kernel of several modules, as a reader of the series "Writing an OS in
//! Rust" has it at the end of the posts: exceptions and hardware interrupts,
//! page tables of its own, a heap, and tests that run inside QEMU.
//!
//! It is here to show that such a kernel boots as it is: nothing in it knows
//! which loader started it. Only the `runner` in `.cargo/config.toml` differs.

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

/// Sets up descriptors and interrupts, and lets the interrupts in.
pub fn init() {
    gdt::init();
    interrupts::init();
    x86_64::instructions::interrupts::enable();
}

/// Rests for ever; interrupts are still served.
pub fn hlt_loop() -> ! {
    loop {
        hlt();
    }
}

/// A test that says its name before it runs, and `[ok]` behind it.
pub trait Testable {
    /// Runs the test; one that fails panics.
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

/// What a test does when it panics.
pub fn test_panic_handler(info: &PanicInfo) -> ! {
    serial_println!("[failed]\n\nError: {info}\n");
    exit_qemu(QemuExitCode::Failed)
}

/// What to write to the device `isa-debug-exit`: for a value of n, QEMU's own
/// status is (n << 1) | 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum QemuExitCode {
    /// All is well: QEMU's status is 33.
    Success = 0x10,
    /// Something is not: QEMU's status is 35.
    Failed = 0x11,
}

/// Ends QEMU; without that device, rests.
pub fn exit_qemu(code: QemuExitCode) -> ! {
    // SAFETY: nothing else is at this port, and QEMU's device only ends QEMU.
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
