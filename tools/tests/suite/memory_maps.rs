//! Memory maps as BIOSes report them: the kernel receives all usable memory, and only
//! that, or the loader reports the right error.
//!
//! `tests/firmware/bad_bios.s` acts as the BIOS, with tables from here.

use crate::common::bad_bios::Expected::{Boots, Error};
use crate::common::bad_bios::{BadBios, case, check, check_all, check_kernel};
use crate::common::{Disk, Folder, LONG, kernel};
use siso_image::elf::Kernel;
use siso_image::layout::{DEFAULT_STACK_PAGES, INFO_REGIONS, PAGE_BYTES, REGIONS_BIOS};
use std::ops::Range;

/// An entry of E820: address, length, type, attributes.
type Entry = (u64, u64, u32, u32);

const MIB: u64 = 1 << 20;
const RAM: u32 = 1;
const RESERVED: u32 = 2;
/// The memory of the machine in these tests: 128 MiB.
const LOW: Entry = (0, 0x93000, RAM, 1);
const HIGH: Entry = (MIB, 126 * MIB, RAM, 1);
const FIRMWARE: Entry = (0xfffc_0000, 0x4_0000, RESERVED, 1);

/// Boots with this memory map. The kernel must receive only usable memory as usable,
/// and all of it, except what is in use.
fn check_memory_map(name: &str, entries: &[Entry], settings: &[(&str, u32)]) -> String {
    let mut bios = BadBios::new(settings);
    bios.set_memory_map(entries);
    let serial = check(name, &bios, &Boots);
    let valid = valid_entries(entries, settings);
    let usable = usable_frames(&valid);
    if entries.len() <= REGIONS_BIOS as usize {
        let reported = format!("memory {} MiB", reported_mib(&valid));
        let ignored = valid.iter().any(is_ignored);
        assert!(
            serial.lines().any(|line| line == reported),
            "{name}: not {reported}: {serial}"
        );
        assert_eq!(serial.contains(" GiB ignored"), ignored, "{name}: {serial}");
    }
    let regions: Vec<(Range<u64>, String)> = reported_regions(&serial).collect();
    assert!(!regions.is_empty(), "{serial}");
    for (frames, _) in regions.iter().filter(|(_, kind)| kind == "Usable") {
        for frame in frames.clone() {
            assert!(
                usable.contains(&frame),
                "{name}: frame {frame:#x} is not usable: {serial}"
            );
        }
    }
    // The first MiB is the BIOS's, with few exceptions.
    let second = regions.iter().find(|(frames, _)| frames.contains(&1));
    assert_eq!(
        second.map(|(_, kind)| kind.as_str()),
        Some("Reserved"),
        "{name}: {serial}"
    );
    if !serial.contains("memory map simplified") {
        let reported = |frame: &u64| regions.iter().any(|(frames, _)| frames.contains(frame));
        assert!(
            usable.iter().all(reported),
            "{name}: usable memory is missing: {serial}"
        );
        for frame in borders(entries) {
            let region = regions.iter().find(|(frames, _)| frames.contains(&frame));
            let actual = region.map(|(_, kind)| kind.as_str());
            let expected = expected_kind(&valid, frame);
            // Usable memory may be in use.
            let correct = match expected {
                Some("Usable") => !actual.is_none_or(|kind| KINDS[1..].contains(&kind)),
                _ => actual == expected,
            };
            assert!(
                correct,
                "{name}: frame {frame:#x} is {actual:?}, not {expected:?}: {serial}"
            );
        }
    }
    serial
}

/// What the loader says about the memory that the BIOS reports as usable.
fn reported_mib(valid: &[Entry]) -> u64 {
    let usable = valid.iter().filter(|entry| entry.2 == RAM).map(frames_of);
    let frames = |range: Range<u64>| {
        let end = SUPPORTED_END / 4096;
        range.end.min(end).saturating_sub(range.start.min(end))
    };
    usable.map(frames).sum::<u64>() * 4096 / MIB
}

/// Whether usable memory ends above the memory that the loader supports.
fn is_ignored(entry: &Entry) -> bool {
    entry.2 == RAM && frames_of(entry).end > SUPPORTED_END / 4096
}

/// No memory below this address is usable for the kernel.
const LOWEST_USABLE: u64 = MIB;
/// The end of the memory that the loader supports.
const SUPPORTED_END: u64 = 4 << 40;
/// The kernel's names for the BIOS's types of memory. Where entries overlap, the
/// later name in this list applies.
const KINDS: [&str; 5] = [
    "Usable",
    "Reserved",
    "AcpiReclaimable",
    "AcpiNvs",
    "BadMemory",
];

/// The entries that the loader must not ignore. If the BIOS sets attribute bit 0 in
/// any entry, it must be set in every entry that has attributes according to ECX.
fn valid_entries(entries: &[Entry], settings: &[(&str, u32)]) -> Vec<Entry> {
    let setting = |name: &str, default: u32| {
        let found = settings.iter().find(|setting| setting.0 == name);
        found.map_or(default, |setting| setting.1)
    };
    let filled = setting("e820_returned", 24).min(setting("e820_bytes", 24)) >= 24;
    let short = setting("e820_short", 0xffff);
    let has_attributes = |n: u32| filled && n != short;
    let numbered = || (0..).zip(entries);
    let meaningful = numbered().any(|(n, entry)| has_attributes(n) && entry.3 & 1 != 0);
    let is_valid =
        |n, entry: &Entry| entry.1 != 0 && (!meaningful || !has_attributes(n) || entry.3 & 1 != 0);
    let valid = numbered().filter(|(n, entry)| is_valid(*n, entry));
    valid.map(|(_, entry)| *entry).collect()
}

/// The usable frames, calculated one by one, unlike in the loader.
fn usable_frames(valid: &[Entry]) -> std::collections::BTreeSet<u64> {
    let mut frames = std::collections::BTreeSet::new();
    for entry in valid.iter().filter(|entry| entry.2 == RAM) {
        frames.extend(frames_of(entry));
    }
    for entry in valid.iter().filter(|entry| entry.2 != RAM) {
        frames.retain(|frame| !frames_of(entry).contains(frame));
    }
    frames.retain(|frame| *frame >= LOWEST_USABLE / 4096);
    frames
}

/// The frames of an entry. A frame that is only partly in the entry does not count
/// as usable memory, but it counts as any other kind.
fn frames_of(&(base, length, kind, _): &Entry) -> Range<u64> {
    let end = base.saturating_add(length);
    match kind {
        RAM => base.div_ceil(4096)..end / 4096,
        _ => base / 4096..end.div_ceil(4096),
    }
}

/// The kind of memory that the kernel must receive for a frame.
fn expected_kind(valid: &[Entry], frame: u64) -> Option<&'static str> {
    let here = valid
        .iter()
        .filter(|entry| frames_of(entry).contains(&frame));
    let kinds = here.map(|entry| match entry.2 {
        RAM => 0,
        kind @ 2..=5 => kind as usize - 1,
        _ => 1,
    });
    kinds.max().map(|kind| KINDS[kind])
}

/// The frames at the borders of all entries, without those below 1 MiB, which the
/// BIOS uses.
fn borders(entries: &[Entry]) -> Vec<u64> {
    let ends = entries.iter().map(frames_of);
    let frames = ends.flat_map(|frames| [frames.start, frames.end]);
    let near = frames.flat_map(|frame| frame.saturating_sub(1)..=frame.saturating_add(1));
    near.filter(|frame| (MIB / 4096..SUPPORTED_END / 4096).contains(frame))
        .collect()
}

/// The memory regions that the kernel printed: frames and kind.
fn reported_regions(serial: &str) -> impl Iterator<Item = (Range<u64>, String)> {
    serial.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [start, end, kind] = words[..] else {
            return None;
        };
        let number = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
        Some((number(start)? / 4096..number(end)? / 4096, kind.into()))
    })
}

/// The BIOS reports more memory than any PC can have.
#[test]
fn impossible_memory() {
    let mut bios = BadBios::new(&[]);
    bios.set_memory_map(&[LOW, HIGH, (4 << 30, u64::MAX - (8 << 30), RAM, 1)]);
    let (disk, folder) = (Disk::of("seed"), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
    let screen = machine.wait_for_halt(LONG).expect("the kernel halts");
    assert_eq!(screen.row(0), "Hello World!");
}

/// The loader reports that it ignores this memory, but not if memory ends there.
#[test]
fn memory_above_4_tib() {
    const MESSAGE: &str = "memory above 4096 GiB ignored";
    const TIB: u64 = 1 << 40;
    for (last, ignored) in [
        ((5 * TIB, TIB, RAM, 1), true),
        ((3 * TIB, 2 * TIB, RAM, 1), true),
        ((4 * TIB - (1 << 30), 1 << 30, RAM, 1), false),
        ((5 * TIB, TIB, RESERVED, 1), false),
    ] {
        let mut bios = BadBios::new(&[]);
        bios.set_memory_map(&[LOW, HIGH, last]);
        let (disk, folder) = (Disk::of("seed"), Folder::new());
        let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
        let screen = machine.wait_for_halt(LONG).expect("the kernel halts");
        assert_eq!(screen.row(0), "Hello World!");
        let on_screen = (1..25).any(|row| screen.row(row) == MESSAGE);
        let serial = machine.serial();
        let on_serial = serial.lines().any(|line| line == MESSAGE);
        assert_eq!(
            (on_screen, on_serial),
            (ignored, ignored),
            "{last:x?}: {serial}"
        );
    }
}

/// If the BIOS writes no attributes, or sets bit 0 in none of them, all entries are
/// valid.
#[test]
fn memory_maps_with_attributes() {
    let entries = |attributes: [u32; 7]| {
        let entries = [
            (0, 0x93000, RAM),
            (MIB, 63 * MIB, RAM),
            (64 * MIB, MIB, 3),
            (65 * MIB, MIB, 4),
            (66 * MIB, MIB, 5),
            (67 * MIB, 60 * MIB, RAM),
            (0xfffc_0000, 0x4_0000, RESERVED),
        ];
        let pairs = entries.iter().zip(attributes);
        pairs
            .map(|(&(base, length, kind), attributes)| (base, length, kind, attributes))
            .collect::<Vec<Entry>>()
    };
    let (none, all) = (entries([0; 7]), entries([1; 7]));
    check_memory_map("entries of 24 bytes, all attributes 1", &all, &[]);
    check_memory_map("entries of 24 bytes, all attributes 0", &none, &[]);
    check_memory_map(
        "entries of 20 bytes, all attributes 0",
        &none,
        &[("e820_returned", 20)],
    );
    check_memory_map(
        "entries of 24 bytes, attributes not written",
        &all,
        &[("e820_bytes", 20)],
    );
    check_memory_map(
        "entries longer than 24 bytes, all attributes 0",
        &none,
        &[("e820_returned", 0x1000)],
    );
    check_memory_map(
        "entries of 20 bytes, some attributes 0",
        &entries([1, 1, 0, 1, 0, 0, 1]),
        &[("e820_returned", 20)],
    );
    check_memory_map(
        "entries of 24 bytes, some attributes 0",
        &entries([1, 1, 0, 1, 0, 1, 1]),
        &[],
    );
    check_memory_map(
        "entries of 24 bytes, attributes 0 in the first and others",
        &entries([0, 1, 0, 1, 1, 1, 1]),
        &[],
    );
    check_memory_map(
        "entries of 24 bytes, more bits in one",
        &entries([1, 3, 1, 1, 1, 1, 1]),
        &[],
    );
    check_memory_map(
        "all attributes 0, except in an entry of 20 bytes",
        &entries([0, 0, 0, 0, 0, 0, 1]),
        &[("e820_short", 6)],
    );
    check_memory_map(
        "attributes 0 in an entry of 20 bytes",
        &entries([1, 1, 1, 0, 1, 1, 1]),
        &[("e820_short", 3)],
    );
    check_memory_map(
        "attributes not written in an entry after one whose attributes are 0",
        &entries([1, 0, 1, 1, 1, 1, 1]),
        &[("e820_kept", 2)],
    );
}

#[test]
fn unusual_memory_maps() {
    check_memory_map("sorted memory map", &[LOW, HIGH, FIRMWARE], &[]);
    check_memory_map("unsorted memory map", &[FIRMWARE, HIGH, LOW], &[]);
    check_memory_map("memory map of one entry", &[HIGH], &[]);
    check_memory_map(
        "end of the memory map in CF",
        &[LOW, HIGH, FIRMWARE],
        &[("e820_cf_end", 1)],
    );
    check_memory_map(
        "entries of 20 bytes",
        &[LOW, HIGH, FIRMWARE],
        &[("e820_bytes", 20), ("e820_returned", 20)],
    );
    check_memory_map(
        "memory map, calls change all registers",
        &[LOW, HIGH, FIRMWARE],
        &[("clobber", 1)],
    );
    let overlapping = [
        LOW,
        HIGH,
        (32 * MIB, 8 * MIB, RESERVED, 1),
        (60 * MIB, MIB, 3, 1),
        HIGH,
    ];
    check_memory_map("overlapping entries", &overlapping, &[]);
    check_memory_map("empty entry", &[LOW, (2 * MIB, 0, RESERVED, 1), HIGH], &[]);
    for kind in [RESERVED, 3, 4, 5, 12] {
        check_memory_map(
            "empty entry inside a page",
            &[LOW, (2 * MIB + 0x800, 0, kind, 1), HIGH],
            &[],
        );
    }
    check_memory_map(
        "ignored entry: attribute bit 0 clear",
        &[LOW, HIGH, (2 * MIB, 64 * MIB, RESERVED, 0)],
        &[],
    );
    let unaligned = [
        LOW,
        (MIB + 100, 64 * MIB - 300, RAM, 1),
        (80 * MIB + 1, MIB, RAM, 1),
    ];
    check_memory_map("unaligned entries", &unaligned, &[]);
    let mut unknown = vec![LOW, HIGH];
    unknown.extend([0, 6, 7, 12].map(|kind| ((40 + 2 * u64::from(kind)) * MIB, MIB, kind, 1)));
    check_memory_map("entries of unknown types", &unknown, &[]);
    let far = [
        LOW,
        HIGH,
        (u64::MAX - 4095, 4096, RESERVED, 1),
        (1 << 50, 1 << 40, RESERVED, 1),
    ];
    check_memory_map("entry up to the last address", &far, &[]);
    for start in [u64::MAX - 100, 100 * MIB] {
        let wraps = [LOW, HIGH, (start, u64::MAX, RESERVED, 1)];
        check_memory_map("entry past the last address", &wraps, &[]);
    }
}

/// The boot info has room for 64 regions, of which the loader needs 7 itself, and
/// the loader asks the BIOS for 256 at most. These maps have many small regions, and
/// a large one for the kernel.
#[test]
fn long_memory_maps() {
    const MOST: u64 = INFO_REGIONS - 7;
    for count in [35, MOST, MOST + 1, 64, 65, 200, 300] {
        let mut entries = vec![LOW, (64 * MIB, 62 * MIB, RAM, 1)];
        let pieces = (0..count - 2).map(|n| {
            let kind = if n % 2 == 0 { RAM } else { RESERVED };
            (MIB + n * 0x2_0000, 0x2_0000, kind, 1)
        });
        entries.extend(pieces);
        let serial = check_memory_map(&format!("memory map of {count} entries"), &entries, &[]);
        assert_eq!(
            serial.contains("memory map simplified"),
            count > MOST,
            "{count}: {serial}"
        );
        if count == MOST {
            let regions = reported_regions(&serial).count();
            assert_eq!(regions as u64, INFO_REGIONS, "{serial}");
        }
    }
    // What counts is how large a region is, not where.
    let mut entries = vec![LOW, (MIB, 62 * MIB, RAM, 1)];
    let pieces = (0..198).map(|n| {
        let kind = if n % 2 == 0 { RAM } else { RESERVED };
        (64 * MIB + n * 0x2_0000, 0x2_0000, kind, 1)
    });
    entries.extend(pieces);
    let serial = check_memory_map("small regions above a large one", &entries, &[]);
    assert!(serial.contains("memory map simplified"), "{serial}");
}

/// The loader asks for so many entries at most, and says that there are more.
#[test]
fn more_entries_than_the_loader_asks_for() {
    const MOST: u64 = REGIONS_BIOS; // 256: with these entries, 64.75 MiB in one region
    for count in [MOST, MOST + 1] {
        let mut entries = vec![(MIB, MIB, RAM, 1)];
        entries.extend((0..count - 1).map(|n| (2 * MIB + n * MIB / 4, MIB / 4, RAM, 1)));
        let mut bios = BadBios::new(&[]);
        bios.set_memory_map(&entries);
        let serial = check("contiguous entries", &bios, &Boots);
        assert!(serial.contains("memory 64 MiB"), "{serial}");
        let said = serial.matches("memory map simplified").count();
        assert_eq!(said, usize::from(count > MOST), "{count}: {serial}");
    }
}

/// No usable region can be omitted to make this map shorter.
#[test]
fn a_memory_map_that_is_too_long() {
    let mut bios = BadBios::new(&[]);
    let mut entries = vec![LOW, HIGH];
    entries.extend((0..100).map(|n| (32 * MIB + n * 0x1000, 0x1000, 3 + (n % 2) as u32, 1)));
    bios.set_memory_map(&entries);
    check(
        "100 ACPI entries",
        &bios,
        &Error("E7 too many memory regions"),
    );
}

/// Just as much memory as a kernel, its stack, its boot info and its page tables need,
/// and one page less.
#[test]
fn memory_that_is_just_enough() {
    let name = "contract"; // ends in an odd frame
    let file = std::fs::read(kernel(name)).expect("the kernel can be read");
    let kernel = Kernel::parse(&file, false).expect("the kernel is valid");
    // On each level, the tables that the pages fill, and two that they begin and end in.
    let tables = |pages: u64| {
        let fill = |below: u64| below / 512 + 2;
        fill(pages) + fill(fill(pages)) + fill(fill(fill(pages)))
    };
    // For the PML4, the first MiB, the boot info and 4 GiB of physical memory.
    let mut needed = 1 + 3 + 3 + 8;
    let mut end = 0;
    for header in kernel.segments.iter().map(|segment| &segment.header) {
        end = (header.paddr + header.memsz).div_ceil(PAGE_BYTES);
        needed += tables(end - header.paddr / PAGE_BYTES);
    }
    needed += tables(DEFAULT_STACK_PAGES) + DEFAULT_STACK_PAGES + 1;
    // Memory above 4 GiB is mapped in pages of 2 MiB.
    for high in [0, 1 << 30] {
        if high > 0 {
            needed += tables(high / (2 * MIB));
        }
        for (missing, expected) in [
            (0, Boots),
            (1, Error("E13 not enough memory for the kernel")),
        ] {
            let mut bios = BadBios::new(&[]);
            let memory = (end + needed - missing) * PAGE_BYTES - MIB;
            bios.set_memory_map(&[
                LOW,
                (MIB, memory, RAM, 1),
                (5 << 30, high, RAM, 1),
                (8 << 30, 1 << 30, RESERVED, 1),
            ]);
            check_kernel("memory that is just enough", &bios, &expected, name, &[]);
        }
    }
}

#[test]
fn incomplete_memory_maps() {
    let bios = BadBios::new(&[("e820_mode", 1), ("e820_count", 0)]);
    check("memory map without entries", &bios, &Boots); // E801 is used instead
    let mut bios = BadBios::new(&[("e820_lost", 1)]);
    bios.set_memory_map(&[LOW, (MIB, 62 * MIB, RAM, 1), FIRMWARE]);
    let serial = check("SMAP missing in the second entry", &bios, &Boots);
    assert!(serial.contains("memory 126 MiB"), "{serial}"); // by E801
}

#[test]
fn older_memory_calls() {
    check_all(&[
        case("no E820", &[("e820_mode", 2)], Boots),
        case(
            "no E820, E801 in CX and DX only",
            &[("e820_mode", 2), ("e801_mode", 1)],
            Boots,
        ),
        case("AH=88h only", &[("e820_mode", 2), ("e801_mode", 2)], Boots),
        case(
            "no memory call works",
            &[("e820_mode", 2), ("e801_mode", 2), ("ext_absent", 1)],
            Error("E6 the BIOS reports no memory"),
        ),
        case(
            "no memory call works, CF unchanged",
            &[
                ("e820_mode", 2),
                ("e801_mode", 2),
                ("ext_absent", 1),
                ("carry_kept", 1),
            ],
            Error("E6 the BIOS reports no memory"),
        ),
        case(
            "AH=88h leaves AX and CF unchanged",
            &[
                ("e820_mode", 2),
                ("e801_mode", 2),
                ("ext_ax", 0x8800),
                ("carry_kept", 1),
            ],
            Error("E6 the BIOS reports no memory"),
        ),
        case(
            "AH=88h returns AH = 80h, CF unchanged",
            &[
                ("e820_mode", 2),
                ("e801_mode", 2),
                ("ext_ax", 0x8012),
                ("carry_kept", 1),
            ],
            Error("E6 the BIOS reports no memory"),
        ),
    ]);
}

/// All the memory that E801 or AH=88h reports, and no more. Both leave out the first MiB.
#[test]
fn older_memory_calls_report_all_memory() {
    const BLOCKS: u32 = 0x600; // of 64 KiB, from 16 MiB
    const KIB: u32 = 62 << 10; // from 1 MiB
    for (name, settings, mib) in [
        ("E801", &[][..], 111),
        ("E801 in CX and DX", &[("e801_mode", 1)], 111),
        ("E801 in AX and BX", &[("e801_mode", 4)], 111),
        ("E801, upper halves changed", &[("clobber", 1)], 111),
        ("AH=88h", &[("e801_mode", 2)], 62),
        ("AH=88h, E801 reports nothing", &[("e801_mode", 3)], 62),
        (
            "AH=88h, upper halves changed",
            &[("e801_mode", 2), ("clobber", 1)],
            62,
        ),
    ] {
        let mut bios = BadBios::new(settings);
        bios.set("e820_mode", 2);
        bios.set("e801_bx", BLOCKS);
        bios.set("ext_ax", KIB);
        let serial = check(name, &bios, &Boots);
        let line = format!("memory {mib} MiB");
        assert!(serial.lines().any(|said| said == line), "{name}: {serial}");
        let regions = reported_regions(&serial).map(|(frames, _)| frames);
        let high: Vec<Range<u64>> = regions
            .filter(|frames| frames.start >= LOWEST_USABLE / 4096)
            .collect();
        let seen = high.first().map(|first| first.start)..high.last().map(|last| last.end);
        let expected = Some(LOWEST_USABLE / 4096)..Some((1 + mib) * MIB / 4096);
        assert_eq!(seen, expected, "{name}: {serial}");
    }
}

/// Incorrect results of E801 and AH=88h, as real BIOSes return them, in a machine
/// with 16 MiB. The kernel must not receive memory that does not exist.
#[test]
fn older_memory_calls_with_wrong_results() {
    for (name, settings) in [
        ("E801 leaves CF unchanged", &[("carry_kept", 1)][..]),
        (
            "E801 unsupported, CF unchanged",
            &[("e801_mode", 2), ("carry_kept", 1)],
        ),
        (
            "E801 reports 16 MiB in AX, more than 15",
            &[("e801_ax", 0x4000)],
        ),
        ("E801 reports almost 64 MiB in AX", &[("e801_ax", 0xffff)]),
        (
            "E801 reports 16 MiB in CX, more than 15",
            &[("e801_mode", 1), ("e801_ax", 0x4000)],
        ),
    ] {
        let mut bios = BadBios::new(settings);
        bios.set("e820_mode", 2);
        let serial = check_kernel(name, &bios, &Boots, "bootloader09", &["-m", "16M"]);
        let usable: Vec<Range<u64>> = reported_regions(&serial)
            .filter(|(_, kind)| kind == "Usable")
            .map(|(frames, _)| frames)
            .collect();
        let first = usable.iter().map(|frames| frames.start).min();
        let end = usable.iter().map(|frames| frames.end).max();
        assert!(first >= Some(LOWEST_USABLE / 4096), "{name}: {serial}");
        let possible = 12 * MIB / 4096..=16 * MIB / 4096;
        assert!(
            end.is_some_and(|end| possible.contains(&end)),
            "{name}: {serial}"
        );
    }
}
