//! A kernel that follows a null pointer.
//!
//! `cargo run --example null_pointer` ends in a page fault: nothing is mapped in
//! the first page, so that this mistake shows at once. The address is not 0 but
//! 0x10, as it is when a field of a structure is read that is not there.

#![no_std]
#![no_main]

use siso_os::{BootInfo, exceptions, println};

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    let structure = core::ptr::null::<u64>();
    let field = structure.wrapping_add(2);
    println!("Reading a field at {field:p}:");
    // SAFETY: nothing is read, the CPU refuses to.
    let value = unsafe { field.read_volatile() };
    panic!("there is a page at 0, and {value} in it");
}
