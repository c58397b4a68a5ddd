//! The boot info, which the loader passes to the kernel as `_start`'s argument.
//!
//! Up to [`BootInfo::loader`], the layout is that of the `bootloader` crate
//! 0.9 with its feature `map_physical_memory`, so kernels written for that
//! crate boot unchanged. `docs/protocol.md` of siso_os has the full protocol.

use core::fmt;

/// The loader's addresses and sizes, generated from its assembly source.
mod layout {
    #![allow(dead_code)]
    include!(env!("LOADER_LAYOUT"));
}

/// Everything that the loader passes to the kernel.
#[derive(Debug)]
#[repr(C)]
pub struct BootInfo {
    /// The memory map; slots from `region_count` on are empty.
    regions: [Region; layout::INFO_REGIONS as usize],
    region_count: u64,
    /// Virtual address at which physical memory is mapped: all of the first
    /// 4 GiB, and RAM only above that.
    pub physical_memory_offset: u64,
    /// The template of thread-local storage; all zero if there is none.
    pub tls_template: TlsTemplate,
    _reserved: u64,
    /// Information that only this loader provides.
    pub loader: LoaderInfo,
}

/// A range of frames, physical pages of 4 KiB.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Region {
    /// Number of the first frame.
    pub start_frame: u64,
    /// Number of the first frame after the region.
    pub end_frame: u64,
    /// What the region is used for.
    pub kind: Kind,
}

/// What a region of memory is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Kind(u32);

/// The initial contents of a new thread's local storage.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TlsTemplate {
    /// Virtual address of the template.
    pub start: u64,
    /// Bytes to copy from the template.
    pub file_size: u64,
    /// Total size in bytes; the bytes after the copied ones are zero.
    pub memory_size: u64,
}

/// The part of the boot info that is specific to this loader.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LoaderInfo {
    /// `"siso_os1"` if this loader booted the kernel.
    pub magic: [u8; 8],
    /// 1; incremented when the meaning of a field changes.
    pub version: u32,
    /// Size of the whole boot info in bytes; it grows with new fields.
    pub size: u32,
    /// The BIOS's number of the boot drive: from 0x00 for floppies, from 0x80
    /// for hard disks.
    pub boot_drive: u32,
    /// How A20 was enabled: 0 already enabled, 1 by the BIOS, 2 by the keyboard
    /// controller, 3 by port 0x92.
    pub a20_method: u32,
    /// The BIOS call that reported the memory map: 0xe820, 0xe801 or 0x88.
    pub memory_source: u32,
    /// Bit 0: the CPU supports no-execute pages. Bit 1: the user allowed pages
    /// that are both writable and executable.
    pub flags: u32,
    /// See [`BootInfo::command_line`].
    command_line: Module,
    /// See [`BootInfo::ramdisk`].
    ramdisk: Module,
}

/// A boot module: bytes that the loader loaded for the kernel. There is none
/// if `bytes` is 0.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Module {
    address: u64,
    bytes: u64,
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Region>() as u64 == layout::INFO_REGION_BYTES);
    assert!(offset_of!(BootInfo, region_count) as u64 == layout::INFO_COUNT);
    assert!(offset_of!(BootInfo, physical_memory_offset) as u64 == layout::INFO_PHYSICAL);
    assert!(offset_of!(BootInfo, tls_template) as u64 == layout::INFO_TLS);
    assert!(offset_of!(BootInfo, loader) as u64 == layout::INFO_MAGIC);
    let loader = offset_of!(BootInfo, loader);
    assert!((loader + offset_of!(LoaderInfo, version)) as u64 == layout::INFO_VERSION);
    assert!((loader + offset_of!(LoaderInfo, size)) as u64 == layout::INFO_SIZE);
    assert!((loader + offset_of!(LoaderInfo, boot_drive)) as u64 == layout::INFO_DRIVE);
    assert!((loader + offset_of!(LoaderInfo, a20_method)) as u64 == layout::INFO_A20);
    assert!((loader + offset_of!(LoaderInfo, memory_source)) as u64 == layout::INFO_SOURCE);
    assert!((loader + offset_of!(LoaderInfo, flags)) as u64 == layout::INFO_FLAGS);
    assert!((loader + offset_of!(LoaderInfo, command_line)) as u64 == layout::INFO_COMMAND);
    assert!((loader + offset_of!(LoaderInfo, ramdisk)) as u64 == layout::INFO_RAMDISK);
    assert!(size_of::<BootInfo>() as u64 == layout::INFO_END);
};

impl BootInfo {
    /// All regions, sorted and without overlaps. Addresses in none of them are
    /// not memory.
    pub fn regions(&self) -> &[Region] {
        let count = self.region_count as usize;
        self.regions.get(..count).unwrap_or(&self.regions)
    }

    /// The regions that the kernel may use freely.
    pub fn usable(&self) -> impl Iterator<Item = &Region> {
        self.regions()
            .iter()
            .filter(|region| region.kind == Kind::USABLE)
    }

    /// The virtual address at which a physical address is mapped, readable and
    /// writable: any address below 4 GiB, and RAM above it.
    ///
    /// The result is a pointer and not a reference: only the caller knows what
    /// is there and who else uses it.
    pub fn virtual_address(&self, physical: u64) -> *mut u8 {
        self.physical_memory_offset.wrapping_add(physical) as *mut u8
    }

    /// The command line given to the image builder; empty if there is none.
    pub fn command_line(&self) -> &'static str {
        // The image builder accepts only UTF-8.
        core::str::from_utf8(self.loader.command_line.bytes()).unwrap_or_default()
    }

    /// The ramdisk; empty if there is none. Its memory is of kind
    /// [`Kind::MODULE`], so nothing else uses it.
    pub fn ramdisk(&self) -> &'static [u8] {
        self.loader.ramdisk.bytes()
    }
}

impl Module {
    fn bytes(&self) -> &'static [u8] {
        if self.bytes == 0 {
            return &[];
        }
        // SAFETY: the loader stored this many bytes there, in the mapping of
        // physical memory, and marked them as in use.
        unsafe { core::slice::from_raw_parts(self.address as *const u8, self.bytes as usize) }
    }
}

impl Region {
    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        (self.end_frame - self.start_frame) * layout::PAGE_BYTES
    }
}

macro_rules! kinds {
    ($($constant:ident = $value:ident: $name:literal;)*) => {
        impl Kind {
            $(#[doc = concat!("The kind \"", $name, "\".")]
            pub const $constant: Kind = Kind(layout::$value as u32);)*
        }

        impl fmt::Debug for Kind {
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                match *self {
                    $(Kind::$constant => f.pad($name),)*
                    Kind(number) => write!(f, "kind {number}"),
                }
            }
        }
    };
}

kinds! {
    USABLE = KIND_USABLE: "usable";
    IN_USE = KIND_IN_USE: "in use";
    RESERVED = KIND_RESERVED: "reserved";
    ACPI_RECLAIMABLE = KIND_ACPI: "ACPI reclaimable";
    ACPI_NVS = KIND_NVS: "ACPI NVS";
    BAD_MEMORY = KIND_BAD: "bad memory";
    KERNEL = KIND_KERNEL: "kernel";
    KERNEL_STACK = KIND_STACK: "kernel stack";
    PAGE_TABLE = KIND_PAGE_TABLE: "page table";
    BOOT_LOADER = KIND_LOADER: "boot loader";
    FRAME_ZERO = KIND_FRAME_ZERO: "frame zero";
    EMPTY = KIND_EMPTY: "empty";
    BOOT_INFO = KIND_BOOT_INFO: "boot info";
    MODULE = KIND_MODULE: "boot module";
}
