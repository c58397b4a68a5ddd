//! A kernel that switches the machine off has not failed.

#![no_std]
#![no_main]

use core::arch::asm;

/// ACPI's PM1a control register, where QEMU's machine `pc` has it.
const PM1A_CONTROL: u16 = 0x604;
/// Enter the sleep state with type 0, which is S5 there: off.
const SLEEP_ENABLE: u16 = 1 << 13;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    support::say(format_args!("about to switch off"));
    loop {
        // SAFETY: the machine is switched off, after a moment.
        unsafe { asm!("out dx, ax", in("dx") PM1A_CONTROL, in("ax") SLEEP_ENABLE) }
    }
}
