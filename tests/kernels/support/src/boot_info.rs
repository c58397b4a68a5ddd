//! The boot info: first the fields of the bootloader crate 0.9 with its feature
//! `map_physical_memory`, then the fields specific to this loader.

use core::mem::offset_of;

/// The boot info; RDI points to it at entry.
#[repr(C)]
#[allow(missing_docs)]
pub struct BootInfo {
    regions: [Region; 64],
    count: u64,
    /// Virtual address at which physical memory is mapped.
    pub physical_memory_offset: u64,
    pub tls: TlsTemplate,
    crate_padding: u64,
    pub magic: [u8; 8],
    pub version: u32,
    /// Size of this structure in bytes.
    pub size: u32,
    /// The BIOS's number of the boot drive.
    pub drive: u32,
    pub a20: u32,
    pub source: u32,
    pub flags: u32,
    /// Address and size in bytes.
    pub command_line: [u64; 2],
    /// Address and size in bytes.
    pub ramdisk: [u64; 2],
}

const _: () = assert!(offset_of!(BootInfo, magic) == 1584);

/// Flag: the CPU supports no-execute pages, and they are enabled.
pub const FLAG_NX: u32 = 1;
/// Flag: a page of the kernel may be writable and executable.
pub const FLAG_WX: u32 = 2;

/// A range of physical memory of one kind.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Region {
    /// Number of the first frame of 4 KiB.
    pub start: u64,
    /// Number of the first frame after the region.
    pub end: u64,
    /// What the region is used for.
    pub kind: u32,
}

/// Kind of region: page tables.
pub const KIND_PAGE_TABLE: u32 = 8;
/// Kind of region: the part of the loader that remains in use.
pub const KIND_LOADER: u32 = 9;

/// The initial contents of a thread's local storage.
#[repr(C)]
pub struct TlsTemplate {
    /// Virtual address of the initialised bytes.
    pub start: u64,
    /// Number of initialised bytes.
    pub file_size: u64,
    /// Total size in bytes, including those that are zero at first.
    pub mem_size: u64,
}

impl BootInfo {
    /// The memory map.
    pub fn regions(&self) -> &[Region] {
        &self.regions[..self.count as usize]
    }

    /// The kind of memory at a physical address, if it is in the memory map.
    pub fn kind(&self, physical: u64) -> Option<u32> {
        let frame = physical / 4096;
        let holds = |region: &&Region| (region.start..region.end).contains(&frame);
        self.regions().iter().find(holds).map(|region| region.kind)
    }
}
