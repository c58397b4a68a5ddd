//! Every way in which a BIOS was seen to misbehave: the kernel boots and is
//! told the truth, or the right sentence appears.
//!
//! `tests/firmware/bad_bios.s` plays the BIOS; a row of the tables below is a
//! misbehaviour, as settings of that program.

mod common;

use common::bad_bios::BadBios;
use common::{Disk, EXIT, Folder, LONG, PASSED, row, says};
use std::ops::Range;

/// What should come of it.
enum Seen {
    /// A kernel of the `bootloader` crate boots and likes its memory map.
    Boots,
    /// The loader gives up with these words.
    Says(&'static str),
}
use Seen::{Boots, Says};

struct Case {
    name: &'static str,
    settings: &'static [(&'static str, u32)],
    seen: Seen,
}

const fn case(name: &'static str, settings: &'static [(&'static str, u32)], seen: Seen) -> Case {
    Case {
        name,
        settings,
        seen,
    }
}

/// Boots under such a BIOS; returns the serial line.
fn check(name: &str, bios: &BadBios, seen: &Seen) -> String {
    let (disk, folder) = (Disk::of("bootloader09"), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &EXIT);
    match seen {
        Boots => {
            let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
            assert_eq!(status, Some(PASSED), "{name}: {}", machine.serial());
        }
        Says(sentence) => says(&mut machine, sentence),
    }
    let seen = match seen {
        Boots => "boots",
        Says(sentence) => sentence,
    };
    row(name, seen, seen, "QEMU");
    machine.serial()
}

fn check_all(cases: &[Case]) {
    for case in cases {
        check(case.name, &BadBios::new(case.settings), &case.seen);
    }
}

#[test]
fn a_good_one() {
    check_all(&[case("a BIOS that behaves", &[], Boots)]);
}

#[test]
fn entry() {
    check_all(&[
        case("enters at 07C0:0000", &[("entry_cs", 0x7c0)], Boots),
        case("DL is garbage", &[("entry_dl", 0x3a)], Boots),
        case("DL is garbage", &[("entry_dl", 0xff)], Boots),
        case("DL is 81h", &[("entry_dl", 0x81), ("drive", 0x81)], Boots),
        case("DL is a floppy's", &[("entry_dl", 0), ("drive", 0)], Boots),
        case(
            "the drive is not what DL says",
            &[("entry_dl", 0x81)],
            Says("E1 disk read"),
        ),
    ]);
}

#[test]
fn registers() {
    check_all(&[
        case("changes all registers", &[("clobber", 1)], Boots),
        case(
            "the same without LBA",
            &[("clobber", 1), ("lba_absent", 1)],
            Boots,
        ),
        case("returns with interrupts on", &[("interrupts_on", 1)], Boots),
        case("changes GDTR", &[("gdtr_changed", 1)], Boots),
        case("uses 4 KiB of stack", &[("stack_deep", 1)], Boots),
        case(
            "all of them",
            &[
                ("clobber", 1),
                ("interrupts_on", 1),
                ("gdtr_changed", 1),
                ("packet_changed", 1),
            ],
            Boots,
        ),
    ]);
}

#[test]
fn disk_reads() {
    check_all(&[
        case("no LBA", &[("lba_absent", 1)], Boots),
        case(
            "says yes to LBA with CF alone",
            &[("lba_cf_only", 1), ("lba_works", 0)],
            Boots,
        ),
        case(
            "says no to LBA in CX alone",
            &[("lba_bit_clear", 1), ("lba_works", 0)],
            Boots,
        ),
        case(
            "LBA is promised and never works",
            &[("lba_works", 0)],
            Boots,
        ),
        case("LBA fails after the third read", &[("lba_works", 3)], Boots),
        case(
            "LBA fails after the tenth read",
            &[("lba_works", 10)],
            Boots,
        ),
        case("the first read fails", &[("reads_fail", 1)], Boots),
        case("three reads fail", &[("reads_fail", 3)], Boots),
        case(
            "all reads fail",
            &[("reads_fail", 0xffff)],
            Says("E1 disk read"),
        ),
        case("127 sectors are the most", &[("sectors_max", 127)], Boots),
        case(
            "sectors of 4,096 bytes",
            &[("sectors_4096", 1)],
            Says("E2 bad stage 2"),
        ),
        case(
            "changes the packet's count",
            &[("packet_changed", 1)],
            Boots,
        ),
        case(
            "no LBA and no geometry",
            &[("lba_absent", 1), ("geometry_none", 1)],
            Says("E2 bad stage 2"),
        ),
        case(
            "one read comes wrong",
            &[("reads_good", 2), ("reads_wrong", 1)],
            Boots,
        ),
        case(
            "three in a row come wrong",
            &[("reads_good", 2), ("reads_wrong", 3)],
            Boots,
        ),
        case(
            "all come wrong",
            &[("reads_good", 2), ("reads_wrong", 0xffff)],
            Says("E8 wrong data on the disk: sectors "),
        ),
        case(
            "stage 2 comes wrong",
            &[("reads_good", 0), ("reads_wrong", 1)],
            Says("E2 bad stage 2"),
        ),
    ]);
}

#[test]
fn a20() {
    // The ports are hardware, but a breakpoint on them closes the gate again.
    const KEYBOARD: (&str, u32) = ("trap_port", 0x60);
    const SYSTEM: (&str, u32) = ("trap_port2", 0x92);
    const CLOSES: (&str, u32) = ("trap_kind", 1);
    check_all(&[
        case(
            "the gate is closed, the BIOS opens it",
            &[("a20_closed", 1)],
            Boots,
        ),
        case(
            "the BIOS only says so",
            &[("a20_closed", 1), ("a20_lies", 1)],
            Boots,
        ),
        case(
            "the keyboard controller does not open it either",
            &[("a20_closed", 1), ("a20_lies", 1), KEYBOARD, CLOSES],
            Boots,
        ),
        case(
            "nothing opens it",
            &[("a20_closed", 1), ("a20_lies", 1), KEYBOARD, SYSTEM, CLOSES],
            Says("E5 the A20 gate stays closed"),
        ),
    ]);
}

#[test]
fn low_memory() {
    check_all(&[
        case("INT 12h reports 512 KiB", &[("kib", 512)], Boots),
        case("INT 12h reports the least", &[("kib", 216)], Boots),
        case(
            "INT 12h reports too little",
            &[("kib", 215)],
            Says("E3 less than 216 KiB"),
        ),
    ]);
}

#[test]
fn older_memory_calls() {
    check_all(&[
        case("no E820", &[("e820_mode", 2)], Boots),
        case(
            "E801 in CX and DX",
            &[("e820_mode", 2), ("e801_mode", 1)],
            Boots,
        ),
        case("only AH=88h", &[("e820_mode", 2), ("e801_mode", 2)], Boots),
        case(
            "none",
            &[("e820_mode", 2), ("e801_mode", 2), ("ext_absent", 1)],
            Says("E6 the BIOS reports no memory"),
        ),
    ]);
}

/// The UART says busy at every look: the screen tells all the same.
#[test]
fn a_uart_that_is_never_ready() {
    let bios = BadBios::new(&[("trap_port", 0x3fd), ("trap_kind", 2)]);
    // This kernel leaves the line alone: the breakpoint is for the loader.
    let (disk, folder) = (Disk::of("seed"), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
    let screen = machine.wait_for_rest(LONG).expect("it comes to rest");
    assert_eq!(screen.row(0), "Hello World!");
    assert!(screen.row(4).starts_with("long mode"), "{screen}");
}

/// What is printed between BIOS calls does not depend on what they change.
#[test]
fn numbers_on_the_screen() {
    let serial = check(
        "changes all registers",
        &BadBios::new(&[("clobber", 1)]),
        &Boots,
    );
    assert!(serial.contains("drive 80\n"), "{serial}");
    assert!(serial.contains("long mode, entry 0000000000"), "{serial}");
}

/// A call that fails and returns with interrupts off: the loader goes on to
/// the next device all the same.
#[test]
fn interrupts_off_after_an_error() {
    let bios = BadBios::new(&[("interrupts_off", 1), ("reads_fail", 0xffff)]);
    let (disk, folder) = (Disk::of("seed"), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
    says(&mut machine, "E1 disk read");
    machine.command("sendkey spc").expect("QEMU takes a key");
    let start = std::time::Instant::now();
    loop {
        let screen = machine.screen().expect("QEMU shows its screen");
        if screen.to_string().contains("Booting from") {
            break;
        }
        assert!(start.elapsed() < LONG, "{screen}");
    }
}

/// The BIOS tells of more memory than there can be.
#[test]
fn memory_that_cannot_be() {
    let mut bios = BadBios::new(&[("e820_mode", 1), ("e820_count", 3)]);
    let entries = [LOW, HIGH, (4 << 30, u64::MAX - (8 << 30), RAM, 1)];
    bios.set_table(&entries.iter().flat_map(stored).collect::<Vec<u8>>());
    let (disk, folder) = (Disk::of("seed"), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
    let screen = machine.wait_for_rest(LONG).expect("it comes to rest");
    assert_eq!(screen.row(0), "Hello World!");
}

// ---- Memory maps -----------------------------------------------------------

/// An entry of E820: first byte, bytes, type, attributes.
type Entry = (u64, u64, u32, u32);

const MIB: u64 = 1 << 20;
const RAM: u32 = 1;
const RESERVED: u32 = 2;
/// What the machine of these tests has: 128 MiB.
const LOW: Entry = (0, 0x93000, RAM, 1);
const HIGH: Entry = (MIB, 126 * MIB, RAM, 1);
const FIRMWARE: Entry = (0xfffc_0000, 0x4_0000, RESERVED, 1);

/// An entry as the BIOS stores it.
fn stored(&(base, length, kind, attributes): &Entry) -> Vec<u8> {
    let mut entry = [base.to_le_bytes(), length.to_le_bytes()].concat();
    entry.extend(kind.to_le_bytes());
    entry.extend(attributes.to_le_bytes());
    entry
}

/// Boots with such a map; the kernel must be told of no usable memory but
/// what is usable, and of all that is, except what is in use.
fn memory_map(name: &str, entries: &[Entry], settings: &[(&str, u32)]) -> String {
    let mut bios = BadBios::new(settings);
    bios.set("e820_mode", 1);
    bios.set("e820_count", entries.len() as u32);
    bios.set_table(&entries.iter().flat_map(stored).collect::<Vec<u8>>());
    let serial = check(name, &bios, &Boots);
    let usable = model(entries);
    let told: Vec<(Range<u64>, u32)> = serial.lines().filter_map(region).collect();
    assert!(!told.is_empty(), "{serial}");
    for (frames, _) in told.iter().filter(|(_, kind)| *kind == 0) {
        for frame in frames.clone() {
            assert!(
                usable.contains(&frame),
                "{name}: frame {frame:#x} is not usable: {serial}"
            );
        }
    }
    if !serial.contains("memory map simplified") {
        let known = |frame: &u64| told.iter().any(|(frames, _)| frames.contains(frame));
        assert!(
            usable.iter().all(known),
            "{name}: something was left out: {serial}"
        );
    }
    serial
}

/// The usable frames, found in another way than the loader's: one by one.
fn model(entries: &[Entry]) -> std::collections::BTreeSet<u64> {
    let valid = || {
        entries
            .iter()
            .filter(|entry| entry.3 & 1 != 0 && entry.1 != 0)
    };
    let mut frames = std::collections::BTreeSet::new();
    for (base, length, ..) in valid().filter(|entry| entry.2 == RAM) {
        frames.extend(base.div_ceil(4096)..base.saturating_add(*length) / 4096);
    }
    for (base, length, ..) in valid().filter(|entry| entry.2 != RAM) {
        let end = base.saturating_add(*length).div_ceil(4096);
        frames.retain(|frame| !(base / 4096..end).contains(frame));
    }
    frames
}

/// A line of the kernel's: first frame or address, end, kind.
fn region(line: &str) -> Option<(Range<u64>, u32)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [start, end, kind] = words[..] else {
        return None;
    };
    let number = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let kinds = ["Usable", "InUse", "Reserved"];
    let kind = kinds
        .iter()
        .position(|name| *name == kind)
        .map_or(9, |kind| kind as u32);
    Some((number(start)? / 4096..number(end)? / 4096, kind))
}

#[test]
fn memory_maps_in_disorder() {
    memory_map("in order", &[LOW, HIGH, FIRMWARE], &[]);
    memory_map("unsorted", &[FIRMWARE, HIGH, LOW], &[]);
    memory_map("one entry", &[HIGH], &[]);
    memory_map("told by CF", &[LOW, HIGH, FIRMWARE], &[("e820_cf_end", 1)]);
    memory_map("20 bytes", &[LOW, HIGH, FIRMWARE], &[("e820_bytes", 20)]);
    memory_map(
        "registers change",
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
    memory_map("overlapping", &overlapping, &[]);
    memory_map("zero-length", &[LOW, (2 * MIB, 0, RESERVED, 1), HIGH], &[]);
    memory_map(
        "to be ignored",
        &[LOW, HIGH, (2 * MIB, 64 * MIB, RESERVED, 0)],
        &[],
    );
    let unaligned = [
        LOW,
        (MIB + 100, 64 * MIB - 300, RAM, 1),
        (80 * MIB + 1, MIB, RAM, 1),
    ];
    memory_map("unaligned", &unaligned, &[]);
    let unknown = [LOW, HIGH, (40 * MIB, MIB, 12, 1), (50 * MIB, MIB, 0, 1)];
    memory_map("unknown types", &unknown, &[]);
    let far = [
        LOW,
        HIGH,
        (u64::MAX - 4095, 4096, RESERVED, 1),
        (1 << 50, 1 << 40, RESERVED, 1),
    ];
    memory_map("up to the last byte", &far, &[]);
    let wraps = [LOW, HIGH, (u64::MAX - 100, u64::MAX, RESERVED, 1)];
    memory_map("beyond the last byte", &wraps, &[]);
}

#[test]
fn memory_maps_without_end() {
    for count in [35, 64, 65, 200] {
        // The map has 64 places, of which the loader needs some for itself.
        // Large pieces between small holes, and a large one to live in.
        let mut entries = vec![LOW, (64 * MIB, 62 * MIB, RAM, 1)];
        let pieces = (0..count - 2).map(|n| {
            let kind = if n % 2 == 0 { RAM } else { RESERVED };
            (MIB + n * 0x4_0000, 0x4_0000, kind, 1)
        });
        entries.extend(pieces);
        let serial = memory_map(&format!("{count} entries"), &entries, &[]);
        assert_eq!(
            serial.contains("memory map simplified"),
            count > 60,
            "{count}: {serial}"
        );
    }
}

/// Nothing usable can be given up for this one to become shorter.
#[test]
fn a_memory_map_that_is_too_long() {
    let mut bios = BadBios::new(&[("e820_mode", 1)]);
    let mut entries = vec![LOW, HIGH];
    entries.extend((0..100).map(|n| (32 * MIB + n * 0x1000, 0x1000, 3 + (n % 2) as u32, 1)));
    bios.set("e820_count", entries.len() as u32);
    bios.set_table(&entries.iter().flat_map(stored).collect::<Vec<u8>>());
    check(
        "100 entries of ACPI",
        &bios,
        &Says("E7 too many memory regions"),
    );
}

#[test]
fn memory_maps_that_break_off() {
    let bios = BadBios::new(&[("e820_mode", 1), ("e820_count", 0)]);
    check("no entry", &bios, &Boots); // E801 serves instead
    let mut bios = BadBios::new(&[("e820_mode", 1), ("e820_count", 3), ("e820_lost", 1)]);
    bios.set_table(&[0xff; 72]);
    check("SMAP is lost midway", &bios, &Boots);
}
