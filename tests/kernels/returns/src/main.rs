//! A kernel that returns must end in the loader's halt loop.

#![no_std]
#![no_main]

#[unsafe(no_mangle)]
extern "C" fn _start() {
    support::say(format_args!("returned"));
}
