//! A kernel that the image builder must refuse unless writable code is allowed;
//! then its code must be writable.

#![no_std]
#![no_main]

use support::boot_info::{BootInfo, FLAG_WX};
use support::expect;

#[unsafe(no_mangle)]
extern "C" fn _start(info: &BootInfo) -> ! {
    expect(
        "the W^X flag",
        (info.flags & FLAG_WX).into(),
        FLAG_WX.into(),
    );
    let code = _start as *mut u8;
    // SAFETY: the same byte is written back.
    unsafe { code.write_volatile(code.read_volatile()) }
    support::report(env!("CARGO_PKG_NAME"))
}
