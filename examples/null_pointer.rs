//! A kernel that dereferences a null pointer.
//!
//! `cargo run --example null_pointer` ends in a page fault: page 0 is not mapped,
//! so that this mistake is caught at once. The address is 0x10 rather than 0, as
//! it would be for a field of a structure accessed through a null pointer.

#![no_std]
#![no_main]

use siso_os::{BootInfo, exceptions, println};

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    let structure = core::ptr::null::<u64>();
    let field = structure.wrapping_add(2);
    println!("Reading a field at {field:p}:");
    // SAFETY: the CPU faults before anything is read.
    let value = unsafe { field.read_volatile() };
    panic!("page 0 is mapped: it holds {value}");
}
