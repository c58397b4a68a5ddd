//! What the loader tells the kernel: the types behind `_start`'s argument.
//!
//! Up to [`BootInfo::loader`] they are laid out as in the `bootloader` crate
//! 0.9 with its feature `map_physical_memory`, so that its kernels boot as
//! they are. The whole contract stands in `docs/protocol.md` of siso_os.

use core::fmt;

/// The loader's addresses and sizes, as its assembler has them.
mod layout {
    #![allow(dead_code)]
    include!(env!("LOADER_LAYOUT"));
}

/// Everything that the loader tells.
#[derive(Debug)]
#[repr(C)]
pub struct BootInfo {
    /// What memory there is; the slots behind `region_count` are empty.
    regions: [Region; layout::INFO_REGIONS as usize],
    region_count: u64,
    /// Virtual address that physical memory is mapped at: the first 4 GiB
    /// whole, above them RAM only.
    pub physical_memory_offset: u64,
    /// The template of thread-local storage; all zero where there is none.
    pub tls_template: TlsTemplate,
    _reserved: u64,
    /// What only this loader tells.
    pub loader: LoaderInfo,
}

/// A range of frames, physical pages of 4 KiB.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Region {
    /// Number of the first frame.
    pub start_frame: u64,
    /// Number of the frame behind the last one.
    pub end_frame: u64,
    /// What it is used for.
    pub kind: Kind,
}

/// What a region of memory is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Kind(u32);

/// Where a new thread's local storage is copied from.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TlsTemplate {
    /// Virtual address of the template.
    pub start: u64,
    /// Bytes that are copied.
    pub file_size: u64,
    /// Bytes in all; those behind the copied ones are zero.
    pub memory_size: u64,
}

/// The part of the boot info that is this loader's own.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct LoaderInfo {
    /// `"siso_os1"` where this loader has booted the kernel.
    pub magic: [u8; 8],
    /// 1; it changes when a field changes its meaning.
    pub version: u32,
    /// Bytes of the whole boot info; it grows with new fields.
    pub size: u32,
    /// The BIOS's number of the drive we came from: 0x00 on for floppies,
    /// 0x80 on for disks.
    pub boot_drive: u32,
    /// How the A20 gate was opened: 0 it was open, 1 by the BIOS, 2 by the
    /// keyboard controller, 3 by port 0x92.
    pub a20_method: u32,
    /// The BIOS call that reported the memory: 0xe820, 0xe801 or 0x88.
    pub memory_source: u32,
    /// Bit 0: the CPU has no-execute pages. Bit 1: the user has allowed pages
    /// that are writable and executable.
    pub flags: u32,
    /// See [`BootInfo::command_line`].
    command_line: Package,
    /// See [`BootInfo::ramdisk`].
    ramdisk: Package,
}

/// Bytes that the loader has brought along; none at all where `bytes` is 0.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Package {
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
    /// All regions, sorted; they do not overlap. What is in none of them is
    /// not memory.
    pub fn regions(&self) -> &[Region] {
        let count = self.region_count as usize;
        self.regions.get(..count).unwrap_or(&self.regions)
    }

    /// The regions that a kernel may use as it likes.
    pub fn usable(&self) -> impl Iterator<Item = &Region> {
        self.regions()
            .iter()
            .filter(|region| region.kind == Kind::USABLE)
    }

    /// Where a physical address is mapped, to read and to write: any address
    /// below 4 GiB, and above it those of RAM.
    ///
    /// It is a pointer, no reference: only the caller knows what is there,
    /// and who else uses it.
    pub fn virtual_address(&self, physical: u64) -> *mut u8 {
        self.physical_memory_offset.wrapping_add(physical) as *mut u8
    }

    /// The command line, as it was given to the image builder; empty where
    /// none was.
    pub fn command_line(&self) -> &'static str {
        // The image builder takes nothing but UTF-8.
        core::str::from_utf8(self.loader.command_line.bytes()).unwrap_or_default()
    }

    /// The ramdisk's bytes; empty where there is none. Its memory is of kind
    /// [`Kind::PACKAGE`]: nobody else uses it.
    pub fn ramdisk(&self) -> &'static [u8] {
        self.loader.ramdisk.bytes()
    }
}

impl Package {
    fn bytes(&self) -> &'static [u8] {
        if self.bytes == 0 {
            return &[];
        }
        // SAFETY: the loader has put so many bytes there, mapped with all of
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
