//! A kernel that uses the bootloader crate 0.9: everything that the crate
//! promises must be there, and the memory map must be correct.

#![no_std]
#![no_main]

use bootloader::bootinfo::MemoryRegionType::{
    self, BootInfo as BootInfoPage, Kernel, KernelStack, PageTable, Usable,
};
use bootloader::{BootInfo, entry_point};
use core::slice;
use support::paging::PageTables;
use support::{expect, screen, serial};

const FRAME: u64 = 4096;

entry_point!(main);

fn main(info: &'static BootInfo) -> ! {
    check_order(info);
    // SAFETY: the offset comes from the loader, and its page tables do not change.
    let tables = unsafe { PageTables::new(info.physical_memory_offset) };
    check_kinds(info, &tables);
    check_screen(info);
    check_usable(info, &tables);
    support::report(env!("CARGO_PKG_NAME"))
}

/// Checks that regions are sorted, disjoint and not empty, and prints them.
fn check_order(info: &BootInfo) {
    let (mut last, mut usable, mut high) = (0, 0, false);
    for region in info.memory_map.iter() {
        let (start, end) = (region.range.start_addr(), region.range.end_addr());
        let kind = region.region_type;
        serial::line(format_args!("{start:#x} {end:#x} {kind:?}"));
        assert!(start >= last, "regions overlap at {start:#x}");
        assert!(start < end, "empty region at {start:#x}");
        last = end;
        if kind == Usable {
            usable += end - start;
            high |= end > 1 << 20;
        }
    }
    serial::line(format_args!("usable {} KiB", usable >> 10));
    assert!(high, "no usable memory above 1 MiB");
}

/// Checks that memory in use is marked with the right kind.
fn check_kinds(info: &BootInfo, tables: &PageTables) {
    let on_stack = 0_u8;
    let in_use = [
        ("code", tables.physical(main as *const u8), Kernel),
        ("a constant", tables.physical(b"x".as_ptr()), Kernel),
        (
            "the stack",
            tables.physical(&raw const on_stack),
            KernelStack,
        ),
        ("the boot info", tables.physical(info), BootInfoPage),
        ("the page table", Some(tables.root()), PageTable),
    ];
    for (what, physical, expected) in in_use {
        let Some(physical) = physical else {
            panic!("{what} is not mapped");
        };
        let kind = kind(info, physical);
        assert!(
            kind == Some(expected),
            "{what} at {physical:#x} is {kind:?}"
        );
    }
    assert!(kind(info, 0) != Some(Usable), "frame 0 is usable");
    assert!(
        kind(info, screen::ADDRESS) != Some(Usable),
        "the screen is usable"
    );
}

fn kind(info: &BootInfo, physical: u64) -> Option<MemoryRegionType> {
    let mut regions = info.memory_map.iter();
    let holds = |start, end| (start..end).contains(&physical);
    let region = regions.find(|r| holds(r.range.start_addr(), r.range.end_addr()))?;
    Some(region.region_type)
}

/// Checks that the mapping of physical memory shows the same screen.
fn check_screen(info: &BootInfo) {
    screen::line(format_args!("the same through both mappings"));
    let mapped = info.physical_memory_offset + screen::ADDRESS;
    // SAFETY: the loader maps the screen twice, and nothing writes to it now.
    let [identity, physical] = [screen::ADDRESS, mapped]
        .map(|address| unsafe { slice::from_raw_parts(address as *const u16, screen::COLUMNS) });
    assert!(
        identity == physical,
        "physical memory shows a different screen"
    );
}

/// Checks that usable memory holds what is written to both ends of each region.
fn check_usable(info: &BootInfo, tables: &PageTables) {
    let words = || {
        let regions = info.memory_map.iter().filter(|r| r.region_type == Usable);
        let ranges = regions.map(|r| (r.range.start_addr(), r.range.end_addr()));
        let frames = ranges.flat_map(|(start, end)| [start, end - FRAME]);
        frames.flat_map(|frame| [frame, frame + FRAME - 8])
    };
    let mapped = |physical| (info.physical_memory_offset + physical) as *mut u64;
    for physical in words() {
        let target = tables.physical(mapped(physical));
        assert!(
            target == Some(physical),
            "{physical:#x} is mapped to {target:x?}"
        );
        // SAFETY: usable memory belongs to the kernel, and it is mapped.
        unsafe { mapped(physical).write_volatile(!physical) }
    }
    for physical in words() {
        // SAFETY: as above.
        let seen = unsafe { mapped(physical).read_volatile() };
        expect("a word written to usable memory", seen, !physical);
    }
}
