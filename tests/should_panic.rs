//! A panic reaches the panic handler.

#![no_std]
#![no_main]

use core::hint::black_box;
use siso_os::BootInfo;
use siso_os::testing::{self, should_panic};

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    testing::start(boot_info, || {
        should_panic("an_index_out_of_bounds_panics", fourth_of_three)
    })
}

fn fourth_of_three() {
    let numbers = [1, 2, 3];
    black_box(numbers[black_box(3)]);
}
