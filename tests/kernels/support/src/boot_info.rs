//! What the loader tells the kernel: first what the bootloader crate 0.9
//! passes with its feature `map_physical_memory`, then the loader's own.

use core::mem::offset_of;

/// The boot info; RDI points to it at entry.
#[repr(C)]
#[allow(missing_docs)]
pub struct BootInfo {
    regions: [Region; 64],
    count: u64,
    /// Physical memory is mapped from this address on.
    pub physical_memory_offset: u64,
    pub tls: TlsTemplate,
    crate_padding: u64,
    pub magic: [u8; 8],
    pub version: u32,
    /// Bytes of this structure.
    pub size: u32,
    /// The BIOS's number of the disk.
    pub drive: u32,
    pub a20: u32,
    pub source: u32,
    pub flags: u32,
    /// Address and bytes.
    pub command_line: [u64; 2],
    /// Address and bytes.
    pub ramdisk: [u64; 2],
}

const _: () = assert!(offset_of!(BootInfo, magic) == 1584);

/// A flag: the CPU can refuse to execute a page, and does.
pub const FLAG_NX: u32 = 1;

/// Physical memory of one kind.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Region {
    /// The number of its first frame of 4 KiB.
    pub start: u64,
    /// The number of the frame behind its last one.
    pub end: u64,
    /// What it holds.
    pub kind: u32,
}

/// A kind of region: page tables.
pub const KIND_PAGE_TABLE: u32 = 8;
/// A kind of region: what the loader needs for ever.
pub const KIND_LOADER: u32 = 9;

/// From what each thread's own variables are made.
#[repr(C)]
pub struct TlsTemplate {
    /// Virtual address of the initialised ones.
    pub start: u64,
    /// How many bytes are initialised.
    pub file_size: u64,
    /// How many bytes there are, with those that begin as zero.
    pub mem_size: u64,
}

impl BootInfo {
    /// The memory map.
    pub fn regions(&self) -> &[Region] {
        &self.regions[..self.count as usize]
    }

    /// The kind of memory at a physical address, if the map knows it.
    pub fn kind(&self, physical: u64) -> Option<u32> {
        let frame = physical / 4096;
        let holds = |region: &&Region| (region.start..region.end).contains(&frame);
        self.regions().iter().find(holds).map(|region| region.kind)
    }
}
