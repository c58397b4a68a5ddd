//! The page tables, walked from outside: what is mapped where, with which rights.

use crate::common::bad_bios::BadBios;
use crate::common::pages::Pages;
use crate::common::{Disk, Folder, LONG, kernel};
use siso_image::address_space::AddressSpace;
use siso_image::elf::Kernel;
use siso_image::image::{Image, Options};
use siso_image::layout::{ONE_MIB, PAGE_BYTES, SWITCH_PAGE};
use siso_image::manifest::Manifest;
use siso_image::qemu::Machine;

const BOOT_INFO: u64 = 0x100_0000_0000;
const PHYSICAL: u64 = 0x180_0000_0000;
const GIB: u64 = 1 << 30;

/// Boots one of the kernels and checks the page tables that the loader made.
fn tables_are_right(name: &str, arguments: &[&str]) -> (Machine, Pages, Disk) {
    tables_follow_manifest(name, &Manifest::default(), arguments)
}

/// The same with the requests of a manifest.
fn tables_follow_manifest(
    name: &str,
    manifest: &Manifest,
    arguments: &[&str],
) -> (Machine, Pages, Disk) {
    let file = std::fs::read(kernel(name)).expect("the kernel can be read");
    let kernel = Kernel::parse(&file, false).expect("the kernel is valid");
    let space = AddressSpace::choose(&kernel, manifest).expect("there is room for all");
    let image = Image::new(&kernel, manifest, &Options::default());
    let disk = Disk::new(&image.expect("there is room for all").bytes);
    let mut machine = disk.boot(arguments);
    machine.wait_for_halt(LONG).expect("the kernel halts");
    let pages = Pages::of(&mut machine);
    let in_kernel = |address: u64, flag: u32| {
        kernel
            .segments
            .iter()
            .map(|segment| &segment.header)
            .any(|header| {
                let first = header.vaddr & !(PAGE_BYTES - 1);
                let end = (header.vaddr + header.memsz).next_multiple_of(PAGE_BYTES);
                (first..end).contains(&address) && header.flags & flag == flag
            })
    };

    for page in &pages.0 {
        assert!(
            !(page.writable && page.executable),
            "writable and executable: {page:x?}"
        );
        assert_eq!(
            page.executable,
            page.virt == SWITCH_PAGE * PAGE_BYTES || in_kernel(page.virt, 1),
            "only the kernel's code and the switch page are executable: {page:x?}"
        );
        if page.virt == page.phys {
            assert!(
                page.virt < ONE_MIB || in_kernel(page.virt, 0),
                "identity: {page:x?}"
            );
        }
    }

    // The first MiB is identity-mapped, except for page 0.
    assert_eq!(pages.at(0), None, "a null pointer must fault");
    for address in (PAGE_BYTES..ONE_MIB).step_by(PAGE_BYTES as usize) {
        let page = pages
            .at(address)
            .unwrap_or_else(|| panic!("{address:#x} is not mapped"));
        assert_eq!((page.phys, page.size), (address, PAGE_BYTES));
        assert_eq!(
            page.writable,
            address != SWITCH_PAGE * PAGE_BYTES,
            "{page:x?}"
        );
    }

    // Each page of the kernel has the rights of its segment.
    for header in kernel.segments.iter().map(|segment| &segment.header) {
        for address in (header.vaddr & !(PAGE_BYTES - 1)..header.vaddr + header.memsz)
            .step_by(PAGE_BYTES as usize)
        {
            let page = pages
                .at(address)
                .unwrap_or_else(|| panic!("{address:#x} is not mapped"));
            assert_eq!(page.size, PAGE_BYTES, "{page:x?}");
            assert_eq!(page.writable, in_kernel(address, 2), "{page:x?}");
        }
    }

    // The boot info, the guard page and the stack; nothing follows the stack.
    let info = pages.at(space.boot_info.first);
    assert!(info.is_some_and(|page| page.writable));
    let guard = pages.at(space.stack.first);
    assert_eq!(guard, None, "the guard page must fault");
    let stack = space.stack.first + PAGE_BYTES;
    let stack_end = stack + space.stack_pages * PAGE_BYTES;
    for address in (stack..stack_end).step_by(PAGE_BYTES as usize) {
        assert!(pages.at(address).is_some_and(|page| page.writable));
    }
    assert_eq!(pages.at(stack_end), None);

    // Physical memory: all of the first 4 GiB.
    let mut address = 0;
    while address < 4 * GIB {
        let page = pages
            .at(space.physical.first + address)
            .expect("physical memory is mapped");
        assert_eq!(page.phys, address, "{page:x?}");
        assert!(page.writable);
        address += page.size;
    }
    (machine, pages, disk)
}

#[test]
fn of_our_kernel() {
    tables_are_right("release/siso_os", &[]);
}

#[test]
fn of_a_debug_build() {
    tables_are_right("dev/siso_os", &[]);
}

#[test]
fn of_a_kernel_without_a_linker_script() {
    tables_are_right("seed", &[]);
}

#[test]
fn of_the_higher_half() {
    tables_are_right("higher_half", &[]);
    tables_are_right("higher_half_no_at", &[]);
}

/// Requested addresses: in the higher half, across the boundaries of page tables,
/// and where physical memory cannot use pages of 1 GiB.
#[test]
fn of_a_kernel_that_requests_addresses() {
    let manifest = Manifest {
        stack_pages: Some(1500),
        stack_address: Some(0xffff_9000_3fff_f000),
        physical_memory_offset: Some(0xffff_a07f_ffe0_0000),
        boot_info_address: Some(0x7fff_ffff_f000),
        ..Manifest::default()
    };
    let large_pages = ["-m", "6G", "-cpu", "qemu64,+pdpe1gb"];
    let (mut machine, pages, _disk) =
        tables_follow_manifest("release/siso_os", &manifest, &large_pages);
    let high = pages.at(0xffff_a07f_ffe0_0000 + 5 * GIB);
    assert_eq!(
        high.map(|page| (page.phys, page.size)),
        Some((5 * GIB, 2 << 20))
    );
    let stack_end = 0xffff_9000_3fff_f000 + 1501 * PAGE_BYTES;
    let stack = machine.register("RSP").expect("QEMU shows registers");
    assert!(
        stack < stack_end && stack > stack_end - PAGE_BYTES,
        "{stack:#x}"
    );

    // With room for only 5 GiB, memory above that is not mapped.
    let manifest = Manifest {
        physical_memory_offset: Some(0xffff_fffe_c000_0000),
        ..Manifest::default()
    };
    let (_machine, pages, _disk) =
        tables_follow_manifest("release/siso_os", &manifest, &["-m", "8G"]);
    let last = pages.at(u64::MAX).expect("it is mapped");
    assert_eq!(last.phys + last.size, 5 * GIB);

    // The same if the next range begins within a large page.
    let manifest = Manifest {
        physical_memory_offset: Some(0x180_0000_0000),
        boot_info_address: Some(0x181_4000_1000),
        ..Manifest::default()
    };
    let (_machine, pages, _disk) =
        tables_follow_manifest("release/siso_os", &manifest, &["-m", "8G"]);
    let last = pages.at(0x181_3fff_ffff).expect("it is mapped");
    assert_eq!(last.phys + last.size, 5 * GIB);

    // With an address only for the boot info, the stack follows it.
    let manifest = Manifest {
        stack_pages: Some(1),
        boot_info_address: Some(0xffff_ffff_ffff_c000),
        ..Manifest::default()
    };
    tables_follow_manifest("seed", &manifest, &[]);
}

#[test]
fn of_segments_that_share_pages() {
    tables_are_right("shared_page", &[]);
}

/// RAM above 4 GiB is mapped, and the rest of the address space is not: QEMU
/// reports a reserved region below 1 TiB that is not RAM.
#[test]
fn of_memory_above_4_gib() {
    let (_machine, pages, _disk) = tables_are_right("release/siso_os", &["-m", "8G"]);
    let high = 4 * GIB..9 * GIB; // 3 GiB of RAM are below 4 GiB, 5 GiB above
    assert_eq!(
        pages.at(PHYSICAL + high.start).map(|page| page.phys),
        Some(high.start)
    );
    assert!(
        pages.at(PHYSICAL + high.end - 1).is_some(),
        "not all RAM is mapped"
    );
    assert_eq!(pages.at(PHYSICAL + high.end), None, "more is mapped");
    let page = pages.at(PHYSICAL + 5 * GIB).expect("it is mapped");
    assert_eq!(page.size, 2 << 20);
    assert_eq!(pages.at(PHYSICAL + 1020 * GIB), None);
}

/// The same with pages of 1 GiB, which QEMU's default CPU does not support.
#[test]
fn of_memory_above_4_gib_in_large_pages() {
    let (_machine, pages, _disk) =
        tables_are_right("release/siso_os", &["-m", "8G", "-cpu", "qemu64,+pdpe1gb"]);
    let page = pages.at(PHYSICAL + 5 * GIB).expect("it is mapped");
    assert_eq!(page.size, GIB);
}

/// Memory that ends within a GiB, and memory that is not usable, which has no pages
/// of 1 GiB.
#[test]
fn of_uneven_memory_above_4_gib() {
    let mut bios = BadBios::new(&[]);
    bios.set_memory_map(&[
        (ONE_MIB, 126 * ONE_MIB, 1, 1),
        (4 * GIB, GIB + GIB / 2, 1, 1),
        (8 * GIB, 2 * GIB, 3, 1), // ACPI tables
        (12 * GIB, GIB, 4, 1),    // ACPI NVS
        (14 * GIB, GIB, 5, 1),    // bad memory
        (16 * GIB + ONE_MIB + PAGE_BYTES, 3 * ONE_MIB, 1, 1),
        (20 * GIB + GIB / 2, GIB + GIB / 2, 1, 1),
    ]);
    let (disk, folder) = (Disk::of("release/siso_os"), Folder::new());
    let arguments = ["-cpu", "qemu64,+pdpe1gb"];
    let (mut machine, _bios) = bios.boot(&disk, &folder, &arguments);
    machine.wait_for_halt(LONG).expect("the kernel halts");
    let pages = Pages::of(&mut machine);
    let size = |address| pages.at(PHYSICAL + address).map(|page| page.size);
    let half = 5 * GIB + GIB / 2;
    for (address, expected) in [
        (4 * GIB, Some(GIB)),
        (5 * GIB, Some(2 << 20)),
        (half - 1, Some(2 << 20)),
        (half, None),
        (8 * GIB, Some(2 << 20)),
        (10 * GIB - 1, Some(2 << 20)),
        (10 * GIB, None),
        (12 * GIB, Some(2 << 20)),
        (14 * GIB, None),
        (16 * GIB, Some(2 << 20)),
        (16 * GIB + 6 * ONE_MIB, None),
        (20 * GIB + GIB / 2, Some(2 << 20)),
        (21 * GIB, Some(GIB)),
    ] {
        assert_eq!(size(address), expected, "{address:#x}");
    }
    let physical = pages.0.iter().filter(|page| page.virt >= PHYSICAL);
    let window = physical.filter(|page| page.virt < PHYSICAL + 512 * GIB);
    for page in window {
        assert_eq!(page.phys, page.virt - PHYSICAL, "{page:x?}");
    }
}

/// Without NX, every page is executable, but the mappings are the same.
#[test]
fn without_nx() {
    let disk = Disk::of("release/siso_os");
    let mut machine = disk.boot(&["-cpu", "qemu64,-nx"]);
    machine.wait_for_halt(LONG).expect("the kernel halts");
    let pages = Pages::of(&mut machine);
    assert_eq!(pages.at(0), None);
    assert_eq!(pages.at(BOOT_INFO + PAGE_BYTES), None);
    assert!(pages.at(PHYSICAL).is_some());
    assert!(pages.at(PHYSICAL + 4 * GIB - 1).is_some());
    assert_eq!(pages.at(PHYSICAL + 4 * GIB), None, "there is no memory");
}
