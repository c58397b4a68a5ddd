//! What the test kernels share: output, an exit from QEMU, and access to what the
//! loader passes to the kernel.

#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

pub mod boot_info;
pub mod elf;
pub mod paging;
mod port;
pub mod screen;
pub mod serial;

pub use boot_info::BootInfo;

use core::arch::asm;
use core::fmt::Arguments;
use core::panic::PanicInfo;

/// QEMU's isa-debug-exit; a write of N ends QEMU with status 2 N + 1.
const EXIT_PORT: u16 = 0xf4;
const EXIT_OK: u32 = 0x10;
const EXIT_FAILED: u32 = 0x11;

/// Reports success on the screen and on the serial line, and exits QEMU.
pub fn report(name: &str) -> ! {
    say(format_args!("{name} ok"));
    exit(EXIT_OK)
}

/// Writes one line to row 0 of the screen and to the serial line.
pub fn say(line: Arguments) {
    screen::line(line);
    serial::line(line);
}

/// Panics unless a number has the expected value.
#[track_caller]
pub fn expect(what: &str, actual: u64, expected: u64) {
    assert!(
        actual == expected,
        "{what} is {actual:#x}, not {expected:#x}"
    );
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let message = info.message();
    match info.location() {
        Some(location) => say(format_args!(
            "FAILED: {message} at {}:{}",
            location.file(),
            location.line()
        )),
        None => say(format_args!("FAILED: {message}")),
    }
    exit(EXIT_FAILED)
}

/// Exits QEMU, or halts if there is no such device.
fn exit(status: u32) -> ! {
    port::write_u32(EXIT_PORT, status);
    loop {
        // SAFETY: neither instruction accesses memory.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}
