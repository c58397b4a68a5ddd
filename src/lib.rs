//! What a small kernel needs first, with `core` alone: a screen, a serial
//! line, a panic that can be read, and what the loader tells.
//!
//! Reading order: [`boot_info`], [`vga`], [`serial`], [`port`], [`cpu`], and
//! what happens when something goes wrong: the private module `panic`.

#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

pub mod boot_info;
pub mod cpu;
mod panic;
pub mod port;
pub mod serial;
pub mod vga;

pub use boot_info::BootInfo;
