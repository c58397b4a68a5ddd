//! A panic reaches the panic handler, which counts as success here.

#![no_std]
#![no_main]

use bootloader::{BootInfo, entry_point};
use core::panic::PanicInfo;
use series::{QemuExitCode, exit_qemu, serial_print, serial_println};

entry_point!(main);

fn main(_boot_info: &'static BootInfo) -> ! {
    serial_print!("should_panic::should_fail...\t");
    should_fail();
    serial_println!("[test did not panic]");
    exit_qemu(QemuExitCode::Failed)
}

fn should_fail() {
    assert_eq!(0, 1);
}

#[panic_handler]
fn panic(_info: &PanicInfo) -> ! {
    serial_println!("[ok]");
    exit_qemu(QemuExitCode::Success)
}
