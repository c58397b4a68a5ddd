//! Kernels of many kinds boot and check themselves; see their sources in
//! `tests/kernels/`.

use crate::common::bad_bios::BadBios;
use crate::common::pages::Pages;
use crate::common::{
    Disk, Folder, GARBAGE, LONG, fails, garbage, kernel, kernel_that_resets, passes,
    passes_in_garbage, plain,
};
use siso_image::SECTOR;
use siso_image::address_space::AddressSpace;
use siso_image::crate09::Crate09;
use siso_image::elf::{HEADERS_MAX, Kernel};
use siso_image::image::{Image, Options};
use siso_image::layout::{
    BLOCK_CHECKSUMS, CHUNK_SECTORS, CRATE_LOW_END, FRAMES_1M, INFO_COUNT, INFO_REGION_BYTES,
    INFO_REGION_KIND, KIND_KERNEL, KIND_PAGE_TABLE, KIND_USABLE, PAGE_BYTES, SWITCH_PAGE,
};
use siso_image::manifest::Manifest;
use siso_image::qemu::Machine;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn higher_half_with_physical_addresses() {
    passes_in_garbage("higher_half");
}

#[test]
fn higher_half_without_physical_addresses() {
    passes_in_garbage("higher_half_no_at");
}

#[test]
fn segments_that_share_pages() {
    passes_in_garbage("shared_page");
}

/// From an AHCI disk, which QEMU reads several times faster than an IDE disk.
#[test]
fn sixteen_mib_of_data() {
    let folder = Folder::new();
    let arguments = garbage(&folder, "q35", 128);
    let serial = passes("payload_16m", &arguments.each_ref().map(String::as_str));
    let marks = serial.lines().map(|line| line.matches('#').count()).max();
    assert_eq!(
        marks,
        Some(40),
        "a large kernel has a progress bar: {serial}"
    );
}

/// From an AHCI disk, too.
#[test]
fn sixty_four_mib_of_data() {
    passes("payload_64m", &["-machine", "q35"]);
}

/// So large that the checksum table has a second block.
#[test]
fn five_hundred_mib_of_data() {
    const FILE_BYTES: usize = 64 + 32; // p_filesz of the first segment
    let chunk = CHUNK_SECTORS * SECTOR as u64;
    let bytes = (BLOCK_CHECKSUMS + 2) * chunk;
    let small = kernel_that_resets(&[(5, 0x20_0000, 0x20_0000, bytes)]);
    let mut elf = vec![0; 0x1000 + bytes as usize];
    elf[..small.len()].copy_from_slice(&small);
    elf[FILE_BYTES..][..8].copy_from_slice(&bytes.to_le_bytes());
    starts(&elf, &["-machine", "q35", "-m", "1G"]);
}

#[test]
fn eight_mib_of_bss() {
    passes_in_garbage("bss_8m");
}

#[test]
fn a_kernel_of_the_bootloader_crate() {
    passes_in_garbage("bootloader09");
}

/// Built for rustc's own target `x86_64-unknown-none`.
#[test]
fn a_position_independent_kernel() {
    passes_in_garbage("pie");
}

#[test]
fn thread_local_storage() {
    passes_in_garbage("tls");
}

#[test]
fn the_state_at_entry() {
    passes_in_garbage("contract");
}

#[test]
fn writable_code_if_the_user_allows_it() {
    let serial = passes("writable_code", &[]);
    assert!(serial.contains("warning: writable code"), "{serial}");
}

/// A kernel that returns ends in the loader's halt loop, even if an NMI ends the HLT:
/// the kernel counts them on the screen.
#[test]
fn a_kernel_that_returns() {
    let disk = Disk::of("returns");
    let mut machine = disk.boot(&[]);
    for nmis in ["0", "1", "2"] {
        let start = Instant::now();
        loop {
            let screen = machine.wait_for_halt(LONG).expect("the kernel halts");
            assert!(screen.row(0).contains("returned"), "{screen}");
            if screen.row(0).ends_with(nmis) {
                break;
            }
            assert!(start.elapsed() < LONG, "{nmis} NMIs: {screen}");
        }
        let rip = machine.register("RIP").expect("QEMU shows registers");
        assert_eq!(rip / PAGE_BYTES, SWITCH_PAGE, "{rip:#x}");
        machine.command("nmi").expect("QEMU sends an NMI");
    }
}

/// The image has only the bytes of PT_LOAD segments, and no debug symbols.
#[test]
fn debug_data_is_not_stored() {
    let elf = std::fs::metadata(kernel("dev/siso_os"))
        .expect("the kernel exists")
        .len();
    let image = crate::common::image("dev/siso_os").len() as u64;
    assert!(elf > image, "the ELF has {elf} bytes, the image {image}");
}

/// Physical addresses that are far apart, or descend while the virtual addresses
/// ascend, or are in one frame.
#[test]
fn segments_in_any_physical_order() {
    let segments: [[(u32, u64, u64, u64); 2]; 5] = [
        [
            (5, 0x40_0000, 0x4800_0000, 0x400),
            (4, 0x40_0800, 0x4800_0800, 0x400),
        ],
        [
            (5, 0x20_0000, 0x7800_0000, 0x400),
            (6, 0x40_0000, 0x4800_0000, 0x2000),
        ],
        [
            (5, 0x20_0000, 0x4800_0000, 0x400),
            (6, 0x40_0000, 0x7800_0000, 0x2000),
        ],
        [
            (5, 0x20_0000, 0x4800_0000, 0x400),
            (6, 0x40_0000, 0x8800_0000, 0x1000),
        ],
        [
            (6, 0x20_0000, 0x20_1000, 0x1000),
            (5, 0x40_0000, 0x20_0000, 0x400),
        ],
    ];
    for segments in segments {
        stand_at(&segments, &segments.map(|segment| segment.2));
    }
}

/// Segments that cannot have their physical addresses go to the lowest 2 MiB, at
/// their virtual distance: they would overlap, they share a page and are not in the
/// same frame, or their addresses are above 4 GiB.
#[test]
fn segments_that_cannot_have_their_addresses() {
    let (first, other) = (0x4800_0000, 0x7800_0800);
    let overlap = [(5, 0x40_0000, first, 0x400), (6, 0x40_2000, first, 0x1000)];
    stand_at(&overlap, &[0x20_0000, 0x20_2000]);
    let overlap = [
        (5, 0x40_0000, first + 0x1000, 0x400),
        (6, 0x40_2000, first, 0x2000),
    ];
    stand_at(&overlap, &[0x20_0000, 0x20_2000]);
    let overlap = [
        (5, 0x40_0000, first, 0x400),
        (6, 0x40_2000, first + 0x4000, 0x1000),
        (6, 0x40_4000, first + 0x4000, 0x1000),
    ];
    stand_at(&overlap, &[0x20_0000, 0x20_2000, 0x20_4000]);
    let shared = [(5, 0x40_0000, first, 0x400), (4, 0x40_0800, other, 0x400)];
    stand_at(&shared, &[0x20_0000, 0x20_0800]);
    let high = [(5, 0x40_0000, (1 << 32) + first, 0x400)];
    stand_at(&high, &[0x20_0000]);
}

/// The headers of eight segments fill a sector; as many as there may be need several.
#[test]
fn many_segments() {
    for count in [8, HEADERS_MAX] {
        let segment = |n| (5, n * PAGE_BYTES, n * PAGE_BYTES, 0x400);
        let segments: Vec<_> = (0x200..).take(count).map(segment).collect();
        let places: Vec<u64> = segments.iter().map(|segment| segment.2).collect();
        stand_at(&segments, &places);
    }
}

/// A page has the rights of all segments in it, and no others.
#[test]
fn four_segments_in_two_pages() {
    let elf = kernel_that_resets(&[
        (5, 0x40_0000, 0x40_0000, 0x400),
        (4, 0x40_0400, 0x40_0400, 0x400),
        (4, 0x40_0800, 0x40_0800, 0x1000),
        (4, 0x40_1c00, 0x40_1c00, 0x400),
    ]);
    let kernel = Kernel::parse(&elf, false).expect("the kernel is valid");
    let (mut machine, _disk) = after_its_reset(&plain(&kernel));
    let pages = Pages::of(&mut machine);
    let is_code = |address| pages.at(address).expect("it is mapped").executable;
    assert_eq!([0x40_0000, 0x40_1000].map(is_code), [true, false]);
}

/// Asserts that the loader starts a kernel with these segments, and where they are.
fn stand_at(segments: &[(u32, u64, u64, u64)], places: &[u64]) {
    let elf = kernel_that_resets(segments);
    let kernel = Kernel::parse(&elf, false).expect("the kernel is valid");
    let (mut machine, _disk) = after_its_reset(&plain(&kernel));
    let serial = machine.serial();
    for (segment, place) in segments.iter().zip(places) {
        let bytes = machine.memory(*place, 0x400).expect("QEMU shows memory");
        let is_there = bytes == [0x0f, 0x0b].repeat(0x200);
        assert!(is_there, "{segment:x?} is not at {place:x}: {serial}");
    }
}

/// Boots a kernel, up to its reset, after which QEMU does not exit.
fn after_its_reset(image: &Image) -> (Machine, Disk) {
    let disk = Disk::new(&image.bytes);
    let mut machine = disk.boot(&["-m", "3G", "-no-shutdown"]);
    wait_for_reset(&mut machine);
    (machine, disk)
}

/// Waits for the kernel's reset.
fn wait_for_reset(machine: &mut Machine) {
    let start = Instant::now();
    while machine.run_state().expect("QEMU answers") != "shutdown" {
        assert!(start.elapsed() < LONG, "{}", machine.serial());
        sleep(Duration::from_millis(20));
    }
    let serial = machine.serial();
    assert!(serial.contains("long mode, entry"), "{serial}");
}

/// The memory between two segments is free. For a kernel of the bootloader crate it is
/// the kernel's, as under that crate's loader.
#[test]
fn a_hole_between_segments() {
    // No memory has these physical addresses.
    let elf = kernel_that_resets(&[
        (5, 0x20_0000, 1 << 40, 0x400),
        (6, 0x30_0000, 1 << 41, 0x1000),
    ]);
    let kernel = Kernel::parse(&elf, false).expect("the kernel is valid");
    let crate09 = Crate09::parse("map_physical_memory").expect("it has this feature");
    for (crate09, hole, expected) in [
        (None, 0x20_1000, KIND_USABLE),
        (Some(crate09), 0x40_1000, KIND_KERNEL),
    ] {
        let manifest = Manifest {
            crate09,
            ..Manifest::default()
        };
        let image = Image::new(&kernel, &manifest, &Options::default());
        let (mut machine, _disk) = after_its_reset(&image.expect("there is room for all"));
        let space = AddressSpace::choose(&kernel, &manifest).expect("there is room for all");
        let pages = Pages::of(&mut machine);
        let unmapped = match manifest.crate09 {
            None => 0x20_1000, // the hole
            Some(_) => CRATE_LOW_END,
        };
        assert_eq!(pages.at(unmapped), None, "{unmapped:#x} is mapped");
        let info = pages.at(space.boot_info.first);
        let info = info.expect("the boot info is mapped").phys;
        let map = machine.memory(info, INFO_COUNT as usize);
        let map = map.expect("QEMU shows memory");
        let number = |at: usize| u64::from_le_bytes(map[at..][..8].try_into().expect("8 bytes"));
        let mut regions = (0..map.len()).step_by(INFO_REGION_BYTES as usize);
        let kind_of = |at: usize| number(at + INFO_REGION_KIND as usize);
        let region = regions
            .clone()
            .find(|at| (number(*at)..number(at + 8)).contains(&(hole / PAGE_BYTES)));
        assert_eq!(region.map(kind_of), Some(expected), "{hole:#x}");
        // Only the tables of the first 2 MiB may be in the first MiB.
        let tables = |at| kind_of(at) == KIND_PAGE_TABLE && number(at) >= FRAMES_1M;
        assert!(regions.any(tables), "no page tables above 1 MiB");
    }
}

/// Segments that no block of 4 GiB holds, at physical addresses that no memory has.
#[test]
fn segments_too_far_apart() {
    // The first distance would fit above 4 GiB, in a machine with 8 GiB.
    for distance in [7 << 29, 16 << 30, 16 << 40] {
        let segments = [
            (5, 0x20_0000, 1 << 40, 0x400),
            (6, 0x20_0000 + distance, 1 << 41, 0x1000),
        ];
        let kernel = kernel_that_resets(&segments);
        let kernel = Kernel::parse(&kernel, false).expect("the kernel is valid");
        let disk = Disk::new(&plain(&kernel).bytes);
        fails(&disk, &["-m", "8G"], "E13 not enough memory for the kernel");
    }
}

/// What a segment has in memory only is zero, whatever sizes the segments have.
#[test]
fn every_bss_is_cleared() {
    const FILE_BYTES: u64 = 0x400;
    let sizes = [0x404, 0x1405, 0x1bff, 0x1400];
    let address = |n: usize| 0x20_0000 + n as u64 * 0x4000;
    let segments = sizes.iter().enumerate();
    let segments = segments.map(|(n, size)| (5 + u32::from(n > 0), address(n), address(n), *size));
    let elf = kernel_that_resets(&segments.collect::<Vec<_>>());
    let disk = Disk::new(&plain(&Kernel::parse(&elf, false).expect("the kernel is valid")).bytes);
    let folder = Folder::new();
    let garbage = garbage(&folder, "pc", 64);
    let mut arguments: Vec<&str> = garbage.iter().map(String::as_str).collect();
    arguments.push("-no-shutdown");
    let mut machine = disk.boot(&arguments);
    wait_for_reset(&mut machine);
    for (n, size) in sizes.into_iter().enumerate() {
        let bytes = machine.memory(address(n) + FILE_BYTES, (size - FILE_BYTES) as usize + 1);
        let bytes = bytes.expect("QEMU shows memory");
        let (last, bss) = bytes.split_last().expect("there are some");
        assert!(bss.iter().all(|byte| *byte == 0), "segment {n}");
        assert_eq!(*last, GARBAGE, "after segment {n}");
    }
}

/// Segments that are placed as a block need memory for every page of it.
#[test]
fn a_block_of_segments_in_one_piece_of_memory() {
    const MIB: u64 = 1 << 20;
    // Two pages, at physical addresses that no memory has.
    let elf = kernel_that_resets(&[
        (5, 0x20_0000, 1 << 40, 0x400),
        (6, 0x20_1000, 1 << 41, 0x1000),
    ]);
    let kernel = Kernel::parse(&elf, false).expect("the kernel is valid");
    let (disk, folder) = (Disk::new(&plain(&kernel).bytes), Folder::new());
    for (pages, expected) in [(1, 64 * MIB), (2, 2 * MIB)] {
        let mut bios = BadBios::new(&[]);
        let usable = [(2 * MIB, pages * PAGE_BYTES), (64 * MIB, 62 * MIB)];
        bios.set_memory_map(&usable.map(|(start, length)| (start, length, 1, 1)));
        let (mut machine, _bios) = bios.boot(&disk, &folder, &["-no-shutdown"]);
        wait_for_reset(&mut machine);
        let page = Pages::of(&mut machine).at(0x20_0000);
        assert_eq!(page.map(|page| page.phys), Some(expected), "{pages}");
    }
}

/// A kernel may begin where the first MiB ends, and keeps its physical addresses if this
/// memory is free. Else it may begin in the middle of a page.
#[test]
fn where_a_kernel_begins() {
    let stays = Some(0x10_0000);
    for (virt, phys, expected) in [
        (0x10_0000, 0x10_0000, stays),
        (0xffff_8000_0010_0000, 0x10_0000, stays),
        (0x20_0800, (1 << 40) + 0x800, None),
        (0x20_0800, 0x30_0000, None),
    ] {
        let elf = kernel_that_resets(&[
            (5, virt, phys, 0x400),
            (6, virt + 0x1000, phys + 0x1000, 0x400),
        ]);
        let kernel = Kernel::parse(&elf, false).expect("the kernel is valid");
        let (mut machine, _disk) = after_its_reset(&plain(&kernel));
        let entry = format!("long mode, entry {virt:016X}");
        assert!(machine.serial().contains(&entry), "{}", machine.serial());
        let page = Pages::of(&mut machine).at(virt).expect("it is mapped");
        let place = page.phys + (virt - page.virt);
        assert!(
            expected.is_none_or(|expected| expected == place),
            "{place:#x}"
        );
        let code = machine.memory(place, 4).expect("QEMU shows memory");
        assert_eq!(code, [0x0f, 0x0b, 0x0f, 0x0b], "{virt:#x} at {place:#x}");
    }
}

/// A kernel at the default addresses of the boot info and of physical memory.
#[test]
fn a_kernel_in_the_default_pml4_entries() {
    let bases = [0x100_0000_0000, 0x180_0000_0000, 0xffff_8000_0000_0000];
    for base in bases {
        starts(
            &kernel_that_resets(&[(5, base + 0x20_0000, 0x20_0000, 0x400)]),
            &[],
        );
    }
}

/// Asserts that the loader starts this kernel, which then ends QEMU.
fn starts(elf: &[u8], arguments: &[&str]) {
    let kernel = Kernel::parse(elf, false).expect("the kernel is valid");
    let disk = Disk::new(&plain(&kernel).bytes);
    let mut machine = disk.boot(arguments);
    let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
    assert_eq!(status, Some(0), "{}", machine.serial());
    assert!(
        machine.serial().contains("long mode, entry"),
        "{}",
        machine.serial()
    );
}
