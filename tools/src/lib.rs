//! Joins the `siso_os` boot loader and any 64-bit ELF kernel into a raw disk
//! image.
//!
//! The loader's bytes are inside this crate, so it works alone and anywhere.
//! The way of the data: [`elf`] reads and checks the kernel, with [`relocate`]
//! where it is position-independent; [`manifest`] reads what its `Cargo.toml`
//! asks for, [`address_space`] decides on virtual addresses; [`image`] lays out the
//! disk with the help of [`checksum`] and [`disk`], [`output`] writes it; [`run`]
//! and [`test`] boot it in [`qemu`], `usb` puts it on a stick. [`new`] makes
//! a new kernel to begin with.

pub mod disk;
pub mod elf;
pub mod image;
mod json;
pub mod manifest;
pub mod new;
pub mod output;
pub mod address_space;
pub mod qemu;
pub mod relocate;
pub mod run;
pub mod checksum;
pub mod test;
#[cfg(target_os = "linux")]
pub mod usb;

/// The loader, linked, with symbols and line numbers: for a debugger.
pub const LOADER_ELF: &[u8] = include_bytes!(env!("LOADER_ELF"));

/// The loader's bytes as they go to the disk: stage 1, then stage 2.
pub const LOADER: &[u8] = include_bytes!(env!("LOADER_BIN"));

/// Every address and size of `boot/layout.inc`, and the loader's symbols.
pub mod layout {
    include!(env!("LOADER_LAYOUT"));
}

/// Bytes of a sector: the only size that the loader reads.
pub const SECTOR: usize = layout::SECTOR_BYTES as usize;

/// How many sectors hold so many bytes.
pub fn sectors(bytes: usize) -> usize {
    bytes.div_ceil(SECTOR)
}
