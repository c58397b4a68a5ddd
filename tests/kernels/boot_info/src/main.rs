//! The crate `siso-boot-info` reads what the loader passes.

#![no_std]
#![no_main]

use siso_boot_info::{BootInfo, Kind};
use support::{expect, say};

#[unsafe(no_mangle)]
extern "C" fn _start(info: &'static BootInfo) -> ! {
    let loader = &info.loader;
    assert!(loader.magic == *b"siso_os1", "magic {:?}", loader.magic);
    expect("version", loader.version.into(), 1);
    expect("size", loader.size.into(), size_of::<BootInfo>() as u64);
    let regions = info.regions();
    assert!(regions.is_sorted_by_key(|region| region.start_frame));
    assert!(regions.iter().any(|region| region.kind == Kind::KERNEL));
    // The modules' memory is in use.
    let has_module = !info.ramdisk().is_empty();
    let is_marked = regions.iter().any(|region| region.kind == Kind::MODULE);
    assert!(
        has_module == is_marked,
        "modules {has_module}, in the map {is_marked}"
    );
    let usable: u64 = info.usable().map(|region| region.bytes()).sum();
    say(format_args!(
        "boot_info: {} MiB usable, '{}', {:?}",
        usable >> 20,
        info.command_line(),
        core::str::from_utf8(info.ramdisk())
    ));
    say(format_args!(
        "boot_info: drive {:x}, A20 method {}, memory source {:x}, flags {}",
        loader.boot_drive, loader.a20_method, loader.memory_source, loader.flags
    ));
    support::report("boot_info")
}
