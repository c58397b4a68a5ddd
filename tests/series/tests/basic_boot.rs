//! The screen can be printed to before anything is initialized.

#![no_std]
#![no_main]
#![feature(custom_test_frameworks)]
#![test_runner(series::test_runner)]
#![reexport_test_harness_main = "test_main"]

use bootloader::{BootInfo, entry_point};
use core::panic::PanicInfo;
use series::println;
use x86_64::instructions::interrupts;

entry_point!(main);

fn main(_boot_info: &'static BootInfo) -> ! {
    test_main();
    series::hlt_loop()
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    series::test_panic_handler(info)
}

#[test_case]
fn println_works() {
    println!("test_println output");
}

#[test_case]
fn interrupts_are_off() {
    assert!(!interrupts::are_enabled());
}
