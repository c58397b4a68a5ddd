//! A kernel that keeps writing to the screen has not halted.

#![no_std]
#![no_main]

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut number = 0u64;
    loop {
        support::screen::line(format_args!("{number}"));
        number += 1;
    }
}
