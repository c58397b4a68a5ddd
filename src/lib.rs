//! The basics of a small kernel, using only `core`: the screen, the serial
//! line, readable exceptions and panics, tests that run in the kernel, and
//! the boot info.
//!
//! Reading order: [`boot_info`], [`vga`], [`serial`], [`port`], [`cpu`]; then
//! [`mod@panic`] and [`exceptions`] for what happens when something goes
//! wrong; then [`testing`] and [`qemu`] for how `cargo test` works.

#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]
#![cfg_attr(
    test,
    no_main,
    feature(custom_test_frameworks),
    test_runner(testing::run),
    reexport_test_harness_main = "all_tests"
)]

pub mod boot_info;
pub mod cpu;
pub mod exceptions;
mod once_cell;
pub mod panic;
pub mod port;
pub mod qemu;
pub mod serial;
pub mod testing;
pub mod vga;

pub use boot_info::BootInfo;

/// The entry point of the unit tests in these modules, as in `tests/basic.rs`.
#[cfg(test)]
#[unsafe(no_mangle)]
extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    testing::start(boot_info, all_tests)
}
