//! Every way in which a BIOS was seen to misbehave: the kernel boots and is
//! told the truth, or the right sentence appears.
//!
//! `tests/firmware/bad_bios.s` plays the BIOS; a row of the tables below is a
//! misbehaviour, as settings of that program.

use crate::common::bad_bios::BadBios;
use crate::common::{Disk, EXIT, Folder, LONG, PASSED, row, says};
use siso_image::qemu::Machine;
use siso_image::{LOADER, SECTOR};
use std::ops::Range;
use std::time::Instant;

/// What should come of it.
enum Seen {
    /// A kernel of the `bootloader` crate boots and likes its memory map.
    Boots,
    /// The loader gives up with these words.
    Says(&'static str),
}
use Seen::{Boots, Says};

/// The first sector that stage 2 reads.
const KERNEL_FROM: u32 = (LOADER.len() / SECTOR) as u32;

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
    check_kernel(name, bios, seen, "bootloader09", &[])
}

/// The same with another kernel, and with more arguments for QEMU.
fn check_kernel(
    name: &str,
    bios: &BadBios,
    seen: &Seen,
    kernel: &str,
    arguments: &[&str],
) -> String {
    let (disk, folder) = (Disk::of(kernel), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[&EXIT, arguments].concat());
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

/// A boot manager loads the partition's first sector, which is stage 2's.
#[test]
fn entry_through_the_partition() {
    let bios = BadBios::new(&[("first_sector", 1)]);
    let (disk, folder) = (Disk::of("seed"), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
    shows(&mut machine, "boot the disk, not the partition");
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
            "the same, and no read works",
            &[("clobber", 1), ("reads_fail", 0xffff)],
            Says("E1 disk read"),
        ),
        case("changes DS and ES", &[("segments_changed", 1)], Boots),
        case(
            "the same without LBA",
            &[("segments_changed", 1), ("lba_absent", 1)],
            Boots,
        ),
        case(
            "the same, and 8 sectors are the most",
            &[("segments_changed", 1), ("sectors_max", 8)],
            Boots,
        ),
        case(
            "the same, and A20 is closed",
            &[("segments_changed", 1), ("a20_closed", 1)],
            Boots,
        ),
        case(
            "the same, and no read works",
            &[("segments_changed", 1), ("reads_fail", 0xffff)],
            Says("E1 disk read"),
        ),
        case(
            "the same, and the kernel comes wrong",
            &[
                ("segments_changed", 1),
                ("reads_good", 2),
                ("reads_wrong", 0xffff),
            ],
            Says("E8 wrong data on the disk: sectors "),
        ),
        case("returns with DF set", &[("direction_down", 1)], Boots),
        case(
            "the same without LBA",
            &[("direction_down", 1), ("lba_absent", 1)],
            Boots,
        ),
        case(
            "the same, and no read works",
            &[("direction_down", 1), ("reads_fail", 0xffff)],
            Says("E1 disk read"),
        ),
        case(
            "the same, and the kernel comes wrong",
            &[
                ("direction_down", 1),
                ("reads_good", 2),
                ("reads_wrong", 0xffff),
            ],
            Says("E8 wrong data on the disk: sectors "),
        ),
        case(
            "all of them",
            &[
                ("clobber", 1),
                ("interrupts_on", 1),
                ("gdtr_changed", 1),
                ("packet_changed", 1),
                ("direction_down", 1),
                ("segments_changed", 1),
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
            Says("E1 disk read"),
        ),
        case(
            "no LBA, and the geometry for ES:DI = 0:0 only",
            &[("lba_absent", 1), ("geometry_zero", 1)],
            Boots,
        ),
        case(
            "LBA reports success and reads nothing",
            &[("lba_empty", 1)],
            Says("E2 bad stage 2"),
        ),
        case(
            "LBA fails for stage 2, CHS for what comes next",
            &[("lba_from", KERNEL_FROM), ("chs_below", KERNEL_FROM)],
            Boots,
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
            "stage 2 comes wrong once",
            &[("reads_good", 0), ("reads_wrong", 1)],
            Boots,
        ),
        case(
            "stage 2 comes wrong three times",
            &[("reads_good", 0), ("reads_wrong", 3)],
            Boots,
        ),
        case(
            "stage 2 comes wrong always",
            &[("reads_good", 0), ("reads_wrong", 0xffff)],
            Says("E2 bad stage 2"),
        ),
    ]);
}

/// How many sectors a BIOS reads in a call is its own affair.
#[test]
fn sectors_in_a_call() {
    for most in [1, 8, 18, 63] {
        for (ways, setting) in [
            ("LBA and CHS", ("lba_absent", 0)),
            ("no LBA", ("lba_absent", 1)),
            ("no CHS", ("chs_below", 0)),
        ] {
            let name = format!("{most} sectors are the most, {ways}");
            let bios = BadBios::new(&[("sectors_max", most), setting]);
            check(&name, &bios, &Boots);
        }
    }
}

#[test]
fn many_calls() {
    for (name, setting) in [
        ("63 sectors are the most", ("lba_absent", 0)),
        ("63 sectors are the most, no LBA", ("lba_absent", 1)),
        ("63 sectors are the most, no CHS", ("chs_below", 0)),
    ] {
        let bios = BadBios::new(&[("sectors_max", 63), setting]);
        check_kernel(name, &bios, &Boots, "payload_16m", &[]);
    }
    let bios = BadBios::new(&[("lba_from", KERNEL_FROM), ("chs_below", KERNEL_FROM)]);
    let name = "LBA fails for stage 2, CHS for what comes next";
    check_kernel(name, &bios, &Boots, "payload_16m", &[]);
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

/// The gate was open, but a service of the BIOS leaves it closed.
#[test]
fn a20_that_closes_again() {
    for (service, bit) in [
        ("INT 13h", 1),
        ("INT 15h", 2),
        ("INT 10h", 4),
        ("INT 10h, 13h and 15h", 7),
    ] {
        for good in [0, 2] {
            let bios = BadBios::new(&[("a20_closes", bit), ("a20_good", good)]);
            let name = format!("{service} closes the gate after {good} reads");
            check(&name, &bios, &Boots);
            check_kernel(&name, &bios, &Boots, "payload_16m", &[]);
        }
    }
}

/// The same, and nothing opens it again.
#[test]
fn a20_that_closes_for_good() {
    for good in [0, 2] {
        let bios = BadBios::new(&[
            ("a20_closes", 1),
            ("a20_good", good),
            ("a20_lies", 1),
            ("trap_port", 0x60),
            ("trap_port2", 0x92),
            ("trap_kind", 1),
        ]);
        check(
            &format!("the gate closes for good after {good} reads"),
            &bios,
            &Says("E5 the A20 gate stays closed"),
        );
    }
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
        case(
            "none, and CF does not say so",
            &[
                ("e820_mode", 2),
                ("e801_mode", 2),
                ("ext_absent", 1),
                ("carry_kept", 1),
            ],
            Says("E6 the BIOS reports no memory"),
        ),
    ]);
}

/// E801 and AH=88h with results that were seen, in a machine of 16 MiB: no
/// kernel is told of memory that does not exist.
#[test]
fn older_memory_calls_that_exaggerate() {
    for (name, settings) in [
        ("E801: CF is as it was", &[("carry_kept", 1)][..]),
        (
            "E801 is unknown, and CF does not say so",
            &[("e801_mode", 2), ("carry_kept", 1)],
        ),
        ("E801: more than 15 MiB in AX", &[("e801_ax", 0x4000)]),
        ("E801: almost 64 MiB in AX", &[("e801_ax", 0xffff)]),
        (
            "E801: more than 15 MiB in CX",
            &[("e801_mode", 1), ("e801_ax", 0x4000)],
        ),
    ] {
        let mut bios = BadBios::new(settings);
        bios.set("e820_mode", 2);
        let serial = check_kernel(name, &bios, &Boots, "bootloader09", &["-m", "16M"]);
        let usable: Vec<Range<u64>> = told(&serial)
            .filter(|(_, kind)| kind == "Usable")
            .map(|(frames, _)| frames)
            .collect();
        let first = usable.iter().map(|frames| frames.start).min();
        let end = usable.iter().map(|frames| frames.end).max();
        assert!(first >= Some(LOWEST_USABLE / 4096), "{name}: {serial}");
        let there = 12 * MIB / 4096..=16 * MIB / 4096;
        assert!(
            end.is_some_and(|end| there.contains(&end)),
            "{name}: {serial}"
        );
    }
}

/// The UART says busy at every look: the screen tells all the same.
#[test]
fn a_uart_that_is_never_ready() {
    let bios = BadBios::new(&[("trap_port", 0x3fd), ("trap_kind", 2)]);
    // This kernel leaves the line alone: the breakpoint is for the loader.
    let (disk, folder) = (Disk::of("seed"), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
    let screen = machine.wait_for_halt(LONG).expect("it comes to rest");
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
    shows(&mut machine, "Booting from");
}

/// Waits until a row of the screen begins with this.
fn shows(machine: &mut Machine, text: &str) {
    let start = Instant::now();
    loop {
        let screen = machine.screen().expect("QEMU shows its screen");
        if (0..25).any(|row| screen.row(row).starts_with(text)) {
            break;
        }
        assert!(start.elapsed() < LONG, "{text}: {screen}");
    }
}

/// A word in the BIOS data area.
fn bios_data(machine: &mut Machine, address: u64) -> u16 {
    let bytes = machine.memory(address, 2).expect("QEMU shows memory");
    u16::from_le_bytes([bytes[0], bytes[1]])
}

/// A key that was pressed before is no answer to an error. The one that is
/// goes no further, and the BIOS's next words have a line of their own.
#[test]
fn keys() {
    const TICKS: u64 = 0x46c;
    const KEY_HEAD: u64 = 0x41a;
    const KEY_TAIL: u64 = 0x41c;
    for (settings, sentence) in [
        ([("reads_fail", 0xffff), ("clobber", 0)], "E1 disk read"),
        ([("reads_fail", 0xffff), ("clobber", 1)], "E1 disk read"),
        (
            [("kib", 100), ("clobber", 0)],
            "E3 less than 216 KiB of low memory",
        ),
    ] {
        let [one, other] = settings;
        let bios = BadBios::new(&[("key_before", 1), one, other]);
        let (disk, folder) = (Disk::of("seed"), Folder::new());
        let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
        says(&mut machine, sentence);
        says(&mut machine, "press a key");
        // A second of the guest's own time; no second look takes so long.
        let since = bios_data(&mut machine, TICKS);
        let start = Instant::now();
        while bios_data(&mut machine, TICKS).wrapping_sub(since) < 18 {
            assert!(start.elapsed() < LONG, "the guest's clock stands still");
        }
        let went_on = |machine: &mut Machine| {
            let screen = machine.screen().expect("QEMU shows its screen").to_string();
            let (_, after) = screen.split_once("press a key").expect("it says so");
            after.contains("\n|Booting from")
        };
        assert!(!went_on(&mut machine), "{sentence}: nobody pressed a key");

        machine.command("sendkey spc").expect("QEMU takes a key");
        while !went_on(&mut machine) {
            assert!(start.elapsed() < LONG, "{sentence}: the key does not help");
        }
        let head = bios_data(&mut machine, KEY_HEAD);
        assert_eq!(head, bios_data(&mut machine, KEY_TAIL), "{sentence}");
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
    let screen = machine.wait_for_halt(LONG).expect("it comes to rest");
    assert_eq!(screen.row(0), "Hello World!");
}

/// What is left out is told; what ends there is not left out.
#[test]
fn memory_above_4_tib() {
    const WORDS: &str = "memory above 4096 GiB ignored";
    const TIB: u64 = 1 << 40;
    for (last, ignored) in [
        ((5 * TIB, TIB, RAM, 1), true),
        ((3 * TIB, 2 * TIB, RAM, 1), true),
        ((4 * TIB - (1 << 30), 1 << 30, RAM, 1), false),
        ((5 * TIB, TIB, RESERVED, 1), false),
    ] {
        let mut bios = BadBios::new(&[("e820_mode", 1), ("e820_count", 3)]);
        bios.set_table(
            &[LOW, HIGH, last]
                .iter()
                .flat_map(stored)
                .collect::<Vec<u8>>(),
        );
        let (disk, folder) = (Disk::of("seed"), Folder::new());
        let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
        let screen = machine.wait_for_halt(LONG).expect("it comes to rest");
        assert_eq!(screen.row(0), "Hello World!");
        let on_screen = (1..25).any(|row| screen.row(row) == WORDS);
        let serial = machine.serial();
        let on_line = serial.lines().any(|line| line == WORDS);
        assert_eq!(
            (on_screen, on_line),
            (ignored, ignored),
            "{last:x?}: {serial}"
        );
    }
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
    let believed = believed(entries, settings);
    let usable = model(&believed);
    let told: Vec<(Range<u64>, String)> = told(&serial).collect();
    assert!(!told.is_empty(), "{serial}");
    for (frames, _) in told.iter().filter(|(_, kind)| kind == "Usable") {
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
        for frame in borders(entries) {
            let region = told.iter().find(|(frames, _)| frames.contains(&frame));
            let seen = region.map(|(_, kind)| kind.as_str());
            let wanted = kind(&believed, frame);
            // What is usable may be in use.
            let fine = match wanted {
                Some("Usable") => !seen.is_none_or(|kind| KINDS[1..].contains(&kind)),
                _ => seen == wanted,
            };
            assert!(
                fine,
                "{name}: frame {frame:#x} is {seen:?}, not {wanted:?}: {serial}"
            );
        }
    }
    serial
}

/// The kernel is given no memory below this as usable.
const LOWEST_USABLE: u64 = MIB;
/// What the loader knows of ends here.
const HIGHEST_KNOWN: u64 = 4 << 40;
/// What the kernel calls the BIOS's kinds of memory; where some overlap, the
/// last of them counts.
const KINDS: [&str; 5] = [
    "Usable",
    "Reserved",
    "AcpiReclaimable",
    "AcpiNvs",
    "BadMemory",
];

/// The entries that count. Where a BIOS fills in attributes at all, bit 0 says
/// so of an entry; ECX says whether it does.
fn believed(entries: &[Entry], settings: &[(&str, u32)]) -> Vec<Entry> {
    let setting = |name: &str, usual: u32| {
        let found = settings.iter().find(|setting| setting.0 == name);
        found.map_or(usual, |setting| setting.1)
    };
    let filled = setting("e820_returned", 24).min(setting("e820_bytes", 24)) >= 24;
    let short = setting("e820_short", 0xffff);
    let has_attributes = |n: u32| filled && n != short;
    let numbered = || (0..).zip(entries);
    let obeyed = numbered().any(|(n, entry)| has_attributes(n) && entry.3 & 1 != 0);
    let counts =
        |n, entry: &Entry| entry.1 != 0 && (!obeyed || !has_attributes(n) || entry.3 & 1 != 0);
    let believed = numbered().filter(|(n, entry)| counts(*n, entry));
    believed.map(|(_, entry)| *entry).collect()
}

/// The usable frames, found in another way than the loader's: one by one.
fn model(believed: &[Entry]) -> std::collections::BTreeSet<u64> {
    let mut frames = std::collections::BTreeSet::new();
    for entry in believed.iter().filter(|entry| entry.2 == RAM) {
        frames.extend(frames_of(entry));
    }
    for entry in believed.iter().filter(|entry| entry.2 != RAM) {
        frames.retain(|frame| !frames_of(entry).contains(frame));
    }
    frames.retain(|frame| *frame >= LOWEST_USABLE / 4096);
    frames
}

/// Usable memory shrinks to whole frames, all else grows.
fn frames_of(&(base, length, kind, _): &Entry) -> Range<u64> {
    let end = base.saturating_add(length);
    match kind {
        RAM => base.div_ceil(4096)..end / 4096,
        _ => base / 4096..end.div_ceil(4096),
    }
}

/// What a frame should be told to be.
fn kind(believed: &[Entry], frame: u64) -> Option<&'static str> {
    let here = believed
        .iter()
        .filter(|entry| frames_of(entry).contains(&frame));
    let kinds = here.map(|entry| match entry.2 {
        RAM => 0,
        kind @ 2..=5 => kind as usize - 1,
        _ => 1,
    });
    kinds.max().map(|kind| KINDS[kind])
}

/// Frames at the borders of all entries; what is below 1 MiB is the BIOS's.
fn borders(entries: &[Entry]) -> Vec<u64> {
    let ends = entries.iter().map(frames_of);
    let frames = ends.flat_map(|frames| [frames.start, frames.end]);
    let near = frames.flat_map(|frame| frame.saturating_sub(1)..=frame.saturating_add(1));
    near.filter(|frame| (MIB / 4096..HIGHEST_KNOWN / 4096).contains(frame))
        .collect()
}

/// The kernel's lines about its memory: frames and their kind.
fn told(serial: &str) -> impl Iterator<Item = (Range<u64>, String)> {
    serial.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [start, end, kind] = words[..] else {
            return None;
        };
        let number = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
        Some((number(start)? / 4096..number(end)? / 4096, kind.into()))
    })
}

/// Where a BIOS fills in no attributes, or none that can be true, all entries
/// count.
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
        let both = entries.iter().zip(attributes);
        both.map(|(&(base, length, kind), attributes)| (base, length, kind, attributes))
            .collect::<Vec<Entry>>()
    };
    let (none, all) = (entries([0; 7]), entries([1; 7]));
    memory_map("all attributes set", &all, &[]);
    memory_map("all attributes 0", &none, &[]);
    memory_map("20 bytes and attributes 0", &none, &[("e820_returned", 20)]);
    memory_map("24 bytes, 20 filled", &all, &[("e820_bytes", 20)]);
    memory_map(
        "more than 24 bytes, attributes 0",
        &none,
        &[("e820_returned", 0x1000)],
    );
    memory_map(
        "20 bytes and some attributes 0",
        &entries([1, 1, 0, 1, 0, 0, 1]),
        &[("e820_returned", 20)],
    );
    memory_map(
        "24 bytes and some attributes 0",
        &entries([1, 1, 0, 1, 0, 1, 1]),
        &[],
    );
    memory_map(
        "all attributes 0 but at one of 20 bytes",
        &entries([0, 0, 0, 0, 0, 0, 1]),
        &[("e820_short", 6)],
    );
    memory_map(
        "20 bytes at one, with attributes 0",
        &entries([1, 1, 1, 0, 1, 1, 1]),
        &[("e820_short", 3)],
    );
}

#[test]
fn memory_maps_in_disorder() {
    memory_map("in order", &[LOW, HIGH, FIRMWARE], &[]);
    memory_map("unsorted", &[FIRMWARE, HIGH, LOW], &[]);
    memory_map("one entry", &[HIGH], &[]);
    memory_map("told by CF", &[LOW, HIGH, FIRMWARE], &[("e820_cf_end", 1)]);
    memory_map(
        "20 bytes",
        &[LOW, HIGH, FIRMWARE],
        &[("e820_bytes", 20), ("e820_returned", 20)],
    );
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
    for kind in [RESERVED, 3, 4, 5, 12] {
        memory_map(
            "zero-length, inside a page",
            &[LOW, (2 * MIB + 0x800, 0, kind, 1), HIGH],
            &[],
        );
    }
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
