//! What a small kernel needs first, with `core` alone: a screen, a serial
//! line, exceptions and panics that can be read, tests that run in the kernel,
//! and what the loader tells.
//!
//! Reading order: [`boot_info`], [`vga`], [`serial`], [`port`], [`cpu`]; what
//! happens when something goes wrong: [`mod@panic`], [`exceptions`]; and how
//! `cargo test` works: [`testing`], [`qemu`].

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

/// Where the tests in these modules begin, as in `tests/basic.rs`.
#[cfg(test)]
#[unsafe(no_mangle)]
extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    testing::start(boot_info, all_tests)
}
