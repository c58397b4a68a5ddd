//! Combines the `siso_os` boot loader and a 64-bit ELF kernel into a raw disk
//! image.
//!
//! The loader's bytes are embedded in this crate, so it needs no other files.
//! The data flow: [`elf`] reads and checks the kernel; [`manifest`] reads the
//! requests in its `Cargo.toml`, [`crate09`] knows what kernels of the `bootloader`
//! crate expect, and [`address_space`] chooses virtual addresses; [`image`] lays out
//! the disk with [`checksum`] and [`disk`], and [`output`] writes the file; [`run`]
//! and [`mod@test`] boot it in [`qemu`], `bochs` in another emulator, and `usb` writes it
//! to a USB stick. `recorder` records a boot; `tour` makes a page of it, and `why`
//! explains how it ended. `new` creates a new kernel, and [`adopt`] makes an existing one
//! use all this.

pub mod address_space;
pub mod adopt;
#[cfg(feature = "tour")]
pub mod bochs;
pub mod checksum;
pub mod crate09;
pub mod disk;
pub mod elf;
pub mod image;
pub mod manifest;
#[cfg(feature = "new")]
pub mod new;
pub mod output;
#[cfg(feature = "tour")]
mod progress;
pub mod qemu;
#[cfg(feature = "tour")]
pub mod recorder;
pub mod run;
pub mod size;
pub mod test;
#[cfg(feature = "tour")]
pub mod tour;
#[cfg(target_os = "linux")]
pub mod usb;
#[cfg(feature = "tour")]
pub mod why;

/// The linked loader with symbols and line numbers, for a debugger.
pub const LOADER_ELF: &[u8] = include_bytes!(env!("LOADER_ELF"));

/// The loader's bytes as stored on the disk: stage 1, then stage 2.
pub const LOADER: &[u8] = include_bytes!(env!("LOADER_BIN"));

/// Every address and size of `boot/layout.inc`, and the loader's symbols.
pub mod layout {
    include!(env!("LOADER_LAYOUT"));
}

/// The text of [`layout`]: what `LOADER_LAYOUT` names when a kernel is built.
pub const LAYOUT: &str = include_str!(env!("LOADER_LAYOUT"));

/// The size of a sector in bytes; the loader supports no other.
pub const SECTOR: usize = layout::SECTOR_BYTES as usize;

/// The number of sectors needed for this many bytes.
pub fn sectors(bytes: usize) -> usize {
    bytes.div_ceil(SECTOR)
}
