//! A kernel that the image builder must refuse, unless the user insists; then
//! its code can be written.

#![no_std]
#![no_main]

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let code = _start as *mut u8;
    // SAFETY: the same byte goes back to where it came from.
    unsafe { code.write_volatile(code.read_volatile()) }
    support::report(env!("CARGO_PKG_NAME"))
}
