//! A kernel that never halts: it prints a line whenever the real-time clock's
//! second changes.

#![no_std]
#![no_main]

use core::arch::asm;

const CMOS_INDEX: u16 = 0x70;
const CMOS_SECONDS: u8 = 0;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut before = second();
    let mut number = 0u64;
    loop {
        while second() == before {}
        before = second();
        number += 1;
        support::say(format_args!("second {number}"));
    }
}

fn second() -> u8 {
    let value;
    // SAFETY: reading the clock changes no memory.
    unsafe {
        asm!("out dx, al", "inc dx", "in al, dx", inout("dx") CMOS_INDEX => _,
            inout("al") CMOS_SECONDS => value);
    }
    value
}
