//! Faults of BIOSes: the kernel boots and receives correct information, or the
//! loader reports the right error.
//!
//! `tests/firmware/bad_bios.s` acts as the BIOS. Each row of the tables below is a
//! fault, as settings of that program.

use crate::common::bad_bios::Expected::{Boots, Error};
use crate::common::bad_bios::{BadBios, case, check, check_all, check_kernel};
use crate::common::{Disk, Folder, LONG, assert_shows};
use siso_image::qemu::Machine;
use siso_image::{LOADER, SECTOR};
use std::time::Instant;

/// The first sector after stage 2.
const AFTER_STAGE_2: u32 = (LOADER.len() / SECTOR) as u32;

#[test]
fn no_fault() {
    check_all(&[case("BIOS without faults", &[], Boots)]);
}

#[test]
fn entry() {
    check_all(&[
        case("entry at 07C0:0000", &[("entry_cs", 0x7c0)], Boots),
        case(
            "entry with garbage in all registers and in memory, DF set",
            &[("entry_garbage", 1)],
            Boots,
        ),
        case("DL is 3Ah, not the drive", &[("entry_dl", 0x3a)], Boots),
        case("DL is FFh, not the drive", &[("entry_dl", 0xff)], Boots),
        case("drive 81h", &[("entry_dl", 0x81), ("drive", 0x81)], Boots),
        case(
            "drive 00h, a floppy",
            &[("entry_dl", 0), ("drive", 0)],
            Boots,
        ),
        case(
            "DL is 81h, but the drive is 80h",
            &[("entry_dl", 0x81)],
            Error("E1 disk read"),
        ),
    ]);
    let bios = BadBios::new(&[("entry_garbage", 1)]);
    let name = "entry with garbage, a kernel with a progress bar";
    check_kernel(name, &bios, &Boots, "payload_16m", &[]);
}

/// What the boot info says about the machine.
#[test]
fn what_the_kernel_is_told() {
    // Which method opened A20 last: none, the BIOS, the keyboard controller, port 92h.
    const CLOSED: (&str, u32) = ("a20_closed", 1);
    const NOT_BY_BIOS: (&str, u32) = ("a20_lies", 1);
    const BUSY: [(&str, u32); 2] = [("trap_port", 0x64), ("trap_kind", 3)];
    const NO_E820: (&str, u32) = ("e820_mode", 2);
    for (settings, expected) in [
        (
            &[][..],
            "drive 80, A20 method 0, memory source e820, flags 1",
        ),
        (
            &[("entry_dl", 0x81), ("drive", 0x81)],
            "drive 81, A20 method 0, memory source e820, flags 1",
        ),
        (
            &[CLOSED],
            "drive 80, A20 method 1, memory source e820, flags 1",
        ),
        (
            &[CLOSED, NOT_BY_BIOS],
            "drive 80, A20 method 2, memory source e820, flags 1",
        ),
        (
            &[CLOSED, NOT_BY_BIOS, BUSY[0], BUSY[1]],
            "drive 80, A20 method 3, memory source e820, flags 1",
        ),
        // The keyboard controller has a byte that nobody has read.
        (
            &[CLOSED, NOT_BY_BIOS, ("kbc_full", 1)],
            "drive 80, A20 method 2, memory source e820, flags 1",
        ),
        (
            &[NO_E820],
            "drive 80, A20 method 0, memory source e801, flags 1",
        ),
        (
            &[NO_E820, ("e801_mode", 2)],
            "drive 80, A20 method 0, memory source 88, flags 1",
        ),
    ] {
        let bios = BadBios::new(settings);
        let serial = check_kernel(expected, &bios, &Boots, "boot_info", &[]);
        let line = format!("boot_info: {expected}\n");
        assert!(serial.contains(&line), "{settings:?}: {serial}");
    }
}

/// A boot manager loads the first sector of the partition, which is the start of
/// stage 2.
#[test]
fn entry_through_the_partition() {
    for setting in [("clobber", 0), ("clobber", 1), ("entry_garbage", 1)] {
        let bios = BadBios::new(&[("first_sector", 1), setting]);
        let (disk, folder) = (Disk::of("seed"), Folder::new());
        let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
        wait_for_row(&mut machine, "boot the disk, not the partition");
    }
}

#[test]
fn registers() {
    check_all(&[
        case("calls change all registers", &[("clobber", 1)], Boots),
        case(
            "calls change all registers, no LBA",
            &[("clobber", 1), ("lba_absent", 1)],
            Boots,
        ),
        case(
            "calls return with interrupts enabled",
            &[("interrupts_on", 1)],
            Boots,
        ),
        case("calls change GDTR", &[("gdtr_changed", 1)], Boots),
        case("calls use 4 KiB of stack", &[("stack_deep", 1)], Boots),
        case(
            "calls change the upper half of ESP",
            &[("stack_changed", 1)],
            Boots,
        ),
        case(
            "calls change all registers, all reads fail",
            &[("clobber", 1), ("reads_fail", 0xffff)],
            Error("E1 disk read"),
        ),
        case("calls change DS and ES", &[("segments_changed", 1)], Boots),
        case(
            "calls change DS and ES, no LBA",
            &[("segments_changed", 1), ("lba_absent", 1)],
            Boots,
        ),
        case(
            "calls change DS and ES, at most 8 sectors in a call",
            &[("segments_changed", 1), ("sectors_max", 8)],
            Boots,
        ),
        case(
            "calls change DS and ES, closed A20 gate",
            &[("segments_changed", 1), ("a20_closed", 1)],
            Boots,
        ),
        case(
            "calls change DS and ES, all reads fail",
            &[("segments_changed", 1), ("reads_fail", 0xffff)],
            Error("E1 disk read"),
        ),
        case(
            "calls change DS and ES, wrong data for the kernel",
            &[
                ("segments_changed", 1),
                ("reads_good", 2),
                ("reads_wrong", 0xffff),
            ],
            Error("E8 wrong data on the disk: sectors "),
        ),
        case("calls return with DF set", &[("direction_down", 1)], Boots),
        case(
            "calls return with DF set, no LBA",
            &[("direction_down", 1), ("lba_absent", 1)],
            Boots,
        ),
        case(
            "calls return with DF set, all reads fail",
            &[("direction_down", 1), ("reads_fail", 0xffff)],
            Error("E1 disk read"),
        ),
        case(
            "calls return with DF set, wrong data for the kernel",
            &[
                ("direction_down", 1),
                ("reads_good", 2),
                ("reads_wrong", 0xffff),
            ],
            Error("E8 wrong data on the disk: sectors "),
        ),
        case(
            "calls change all registers, flags and the packet",
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
            "AH=41h reports LBA in CF only, AH=42h fails",
            &[("lba_cf_only", 1), ("lba_works", 0)],
            Boots,
        ),
        case(
            "AH=41h denies LBA in CX only, AH=42h fails",
            &[("lba_bit_clear", 1), ("lba_works", 0)],
            Boots,
        ),
        case(
            "AH=41h reports LBA, AH=42h fails",
            &[("lba_works", 0)],
            Boots,
        ),
        case("LBA fails after 3 reads", &[("lba_works", 3)], Boots),
        case("LBA fails after 10 reads", &[("lba_works", 10)], Boots),
        case("the first read fails", &[("reads_fail", 1)], Boots),
        case("the first 3 reads fail", &[("reads_fail", 3)], Boots),
        case(
            "all reads fail",
            &[("reads_fail", 0xffff)],
            Error("E1 disk read"),
        ),
        case(
            "at most 127 sectors in a call",
            &[("sectors_max", 127)],
            Boots,
        ),
        case(
            "drive with sectors of 4,096 bytes",
            &[("sectors_4096", 1)],
            Error("E2 bad stage 2"),
        ),
        case(
            "reads change the count in the packet",
            &[("packet_changed", 1)],
            Boots,
        ),
        case(
            "no LBA, no geometry",
            &[("lba_absent", 1), ("geometry_none", 1)],
            Error("E1 disk read"),
        ),
        case(
            "no LBA, AH=08h fails",
            &[("lba_absent", 1), ("geometry_none", 2)],
            Error("E1 disk read"),
        ),
        case(
            "no LBA, geometry only if ES:DI = 0:0",
            &[("lba_absent", 1), ("geometry_zero", 1)],
            Boots,
        ),
        case(
            "LBA reports success, but reads nothing",
            &[("lba_empty", 1)],
            Error("E2 bad stage 2"),
        ),
        case(
            "LBA fails for stage 2, CHS fails after it",
            &[("lba_from", AFTER_STAGE_2), ("chs_below", AFTER_STAGE_2)],
            Boots,
        ),
        case(
            "a call for a drive that does not exist hangs",
            &[("drives_hang", 1)],
            Boots,
        ),
        case(
            "wrong data in 1 read of the kernel",
            &[("reads_good", 2), ("reads_wrong", 1)],
            Boots,
        ),
        case(
            "wrong data in 3 reads of the kernel",
            &[("reads_good", 2), ("reads_wrong", 3)],
            Boots,
        ),
        case(
            "wrong data in all reads of the kernel",
            &[("reads_good", 2), ("reads_wrong", 0xffff)],
            Error("E8 wrong data on the disk: sectors "),
        ),
        case(
            "wrong data in 1 read of stage 2",
            &[("reads_good", 0), ("reads_wrong", 1)],
            Boots,
        ),
        case(
            "wrong data in 3 reads of stage 2",
            &[("reads_good", 0), ("reads_wrong", 3)],
            Boots,
        ),
        case(
            "wrong data in all reads",
            &[("reads_good", 0), ("reads_wrong", 0xffff)],
            Error("E2 bad stage 2"),
        ),
    ]);
}

/// BIOSes have different limits for the sectors in a call.
#[test]
fn sectors_in_a_call() {
    for most in [1, 8, 18, 63] {
        for (ways, setting) in [
            ("LBA and CHS", ("lba_absent", 0)),
            ("no LBA", ("lba_absent", 1)),
            ("no CHS", ("chs_below", 0)),
        ] {
            let name = format!("at most {most} sectors in a call, {ways}");
            let bios = BadBios::new(&[("sectors_max", most), setting]);
            check(&name, &bios, &Boots);
        }
    }
}

#[test]
fn many_calls() {
    for (name, setting) in [
        (
            "at most 63 sectors in a call, LBA and CHS",
            ("lba_absent", 0),
        ),
        ("at most 63 sectors in a call, no LBA", ("lba_absent", 1)),
        ("at most 63 sectors in a call, no CHS", ("chs_below", 0)),
    ] {
        let bios = BadBios::new(&[("sectors_max", 63), setting]);
        check_kernel(name, &bios, &Boots, "payload_16m", &[]);
    }
    let bios = BadBios::new(&[("lba_from", AFTER_STAGE_2), ("chs_below", AFTER_STAGE_2)]);
    let name = "LBA fails for stage 2, CHS fails after it";
    check_kernel(name, &bios, &Boots, "payload_16m", &[]);
}

#[test]
fn a20() {
    // The ports are hardware, so a breakpoint on them closes the gate again.
    const KEYBOARD: (&str, u32) = ("trap_port", 0x60);
    const SYSTEM: (&str, u32) = ("trap_port2", 0x92);
    const CLOSES: (&str, u32) = ("trap_kind", 1);
    const OPENS_SLOWLY: (&str, u32) = ("trap_kind", 5);
    const SLOW: (&str, u32) = ("a20_slow", 1000);
    check_all(&[
        case(
            "closed A20 gate, the BIOS opens it",
            &[("a20_closed", 1)],
            Boots,
        ),
        case(
            "closed A20 gate, the BIOS only reports success",
            &[("a20_closed", 1), ("a20_lies", 1)],
            Boots,
        ),
        case(
            "closed A20 gate, the keyboard controller fails, too",
            &[("a20_closed", 1), ("a20_lies", 1), KEYBOARD, CLOSES],
            Boots,
        ),
        case(
            "closed A20 gate, a byte in the keyboard controller",
            &[("a20_closed", 1), ("a20_lies", 1), ("kbc_full", 1)],
            Boots,
        ),
        case(
            "closed A20 gate, opens slowly: the BIOS",
            &[("a20_closed", 1), SLOW],
            Boots,
        ),
        case(
            "closed A20 gate, opens slowly: the keyboard controller",
            &[
                ("a20_closed", 1),
                ("a20_lies", 1),
                SLOW,
                ("trap_port2", 0x60),
                OPENS_SLOWLY,
            ],
            Boots,
        ),
        case(
            "closed A20 gate, opens slowly: port 92h",
            &[
                ("a20_closed", 1),
                ("a20_lies", 1),
                SLOW,
                KEYBOARD,
                SYSTEM,
                OPENS_SLOWLY,
            ],
            Boots,
        ),
        case(
            "closed A20 gate, the keyboard controller is always busy",
            &[
                ("a20_closed", 1),
                ("a20_lies", 1),
                ("trap_port", 0x64),
                ("trap_kind", 3),
            ],
            Boots,
        ),
        case(
            "closed A20 gate, no keyboard controller",
            &[
                ("a20_closed", 1),
                ("a20_lies", 1),
                ("trap_port", 0x64),
                ("trap_kind", 4),
            ],
            Boots,
        ),
        case(
            "closed A20 gate, nothing opens it",
            &[("a20_closed", 1), ("a20_lies", 1), KEYBOARD, SYSTEM, CLOSES],
            Error("E5 the A20 gate stays closed"),
        ),
    ]);
}

/// The gate is open at first, but a BIOS service closes it.
#[test]
fn a20_closed_by_a_service() {
    for (service, bit) in [
        ("INT 13h", 1),
        ("INT 15h", 2),
        ("INT 10h", 4),
        ("INT 10h, 13h and 15h", 7),
    ] {
        for good in [0, 2] {
            let bios = BadBios::new(&[("a20_closes", bit), ("a20_good", good)]);
            let name = format!("{service} closes the A20 gate after {good} reads");
            check(&name, &bios, &Boots);
            check_kernel(&name, &bios, &Boots, "payload_16m", &[]);
        }
    }
}

/// The same, and nothing opens the gate again.
#[test]
fn a20_closed_permanently() {
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
            &format!("A20 gate closed permanently after {good} reads"),
            &bios,
            &Error("E5 the A20 gate stays closed"),
        );
    }
}

#[test]
fn low_memory() {
    check_all(&[
        case("INT 12h reports 512 KiB", &[("kib", 512)], Boots),
        case(
            "INT 12h reports 216 KiB, the minimum",
            &[("kib", 216)],
            Boots,
        ),
        case(
            "INT 12h reports 215 KiB",
            &[("kib", 215)],
            Error("E3 less than 216 KiB"),
        ),
    ]);
}

/// The UART is always busy: the messages are on the screen, and the kernel boots.
#[test]
fn a_uart_that_is_always_busy() {
    let bios = BadBios::new(&[("trap_port", 0x3fd), ("trap_kind", 2)]);
    // This kernel does not use the UART, so only the loader hits the breakpoint.
    let (disk, folder) = (Disk::of("seed"), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
    let screen = machine.wait_for_halt(LONG).expect("the kernel halts");
    assert_eq!(screen.row(0), "Hello World!");
    assert!(screen.row(4).starts_with("long mode"), "{screen}");
}

/// More than 255 cylinders: two bits of their number have a place of their own. SeaBIOS
/// takes a geometry as it is if the disk is not smaller.
#[test]
fn a_disk_with_many_cylinders() {
    let geometry = ["cyls=550", "heads=1", "secs=63"].map(|it| format!("virtio-blk-device.{it}"));
    let geometry = geometry.each_ref().map(|it| ["-global", it.as_str()]);
    let bios = BadBios::new(&[("lba_absent", 1)]);
    let name = "550 cylinders, no LBA";
    check_kernel(name, &bios, &Boots, "payload_16m", &geometry.concat());
}

/// The BIOS is told that the kernel runs in 64-bit mode.
#[test]
fn the_mode_of_the_kernel() {
    let bios = BadBios::new(&[("mode_reported", 1)]);
    let (disk, folder) = (Disk::of("seed"), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
    machine.wait_for_halt(LONG).expect("the kernel halts");
    let report = std::fs::read_to_string(folder.0.join("report"));
    assert_eq!(report.unwrap_or_default(), "64-bit mode\n");
}

/// Numbers are printed correctly, even if BIOS calls change all registers.
#[test]
fn numbers_on_the_screen() {
    let serial = check(
        "numbers printed, calls change all registers",
        &BadBios::new(&[("clobber", 1)]),
        &Boots,
    );
    assert!(serial.contains("drive 80\n"), "{serial}");
    assert!(serial.contains("long mode, entry 0000000000"), "{serial}");
}

/// A call fails and returns with interrupts disabled. After a key, the BIOS still
/// tries the next device.
#[test]
fn interrupts_off_after_an_error() {
    let bios = BadBios::new(&[("interrupts_off", 1), ("reads_fail", 0xffff)]);
    let (disk, folder) = (Disk::of("seed"), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
    assert_shows(&mut machine, "E1 disk read");
    machine.command("sendkey spc").expect("QEMU takes a key");
    wait_for_row(&mut machine, "Booting from Floppy");
}

/// No other device can boot, and INT 18h returns: the CPU halts, and the message
/// stays on the screen.
#[test]
fn nothing_else_to_boot() {
    for (settings, message) in [
        (("reads_fail", 0xffff), "E1 disk read"),
        (("first_sector", 1), "boot the disk, not the partition"),
    ] {
        let bios = BadBios::new(&[("boot_returns", 1), settings]);
        let (disk, folder) = (Disk::of("seed"), Folder::new());
        let (mut machine, _bios) = bios.boot(&disk, &folder, &[]);
        wait_for_row(&mut machine, message);
        machine.command("sendkey spc").expect("QEMU takes a key");
        let report = || std::fs::read_to_string(folder.0.join("report")).unwrap_or_default();
        let start = Instant::now();
        while report().is_empty() {
            assert!(start.elapsed() < LONG, "{message}: INT 18h was not called");
        }
        // The timer's interrupts end the HLT, again and again.
        let since = bios_data(&mut machine, TICKS);
        while bios_data(&mut machine, TICKS).wrapping_sub(since) < 18 {
            assert!(start.elapsed() < LONG, "the guest's clock does not advance");
        }
        let mut register = |name| machine.register(name).expect("QEMU shows registers");
        while register("HLT") == 0 {
            assert!(start.elapsed() < LONG, "{message}: the CPU does not halt");
        }
        let address = register("EIP");
        assert!(
            (0x7c00..0x7e00).contains(&address),
            "{message}: {address:#x}"
        );
        wait_for_row(&mut machine, message);
        assert_eq!(report(), "INT 18h\n", "{message}");
    }
}

/// Waits until a row of the screen starts with this.
fn wait_for_row(machine: &mut Machine, text: &str) {
    let start = Instant::now();
    loop {
        let screen = machine.screen().expect("QEMU shows its screen");
        if (0..25).any(|row| screen.row(row).starts_with(text)) {
            break;
        }
        assert!(start.elapsed() < LONG, "{text}: {screen}");
    }
}

/// Where the BIOS counts 18 times a second.
const TICKS: u64 = 0x46c;

/// Reads a word of the BIOS data area.
fn bios_data(machine: &mut Machine, address: u64) -> u16 {
    let bytes = machine.memory(address, 2).expect("QEMU shows memory");
    u16::from_le_bytes([bytes[0], bytes[1]])
}

/// Keys pressed before an error do not answer it. The key that answers it does not
/// stay in the keyboard buffer, and the BIOS's next message is on a new line.
#[test]
fn keys() {
    const KEY_HEAD: u64 = 0x41a;
    const KEY_TAIL: u64 = 0x41c;
    for (settings, error) in [
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
        assert_shows(&mut machine, error);
        assert_shows(&mut machine, "press a key");
        // A second in the guest: the loader looks for a key more often than that.
        let since = bios_data(&mut machine, TICKS);
        let start = Instant::now();
        while bios_data(&mut machine, TICKS).wrapping_sub(since) < 18 {
            assert!(start.elapsed() < LONG, "the guest's clock does not advance");
        }
        let continues = |machine: &mut Machine| {
            let screen = machine.screen().expect("QEMU shows its screen").to_string();
            let (_, after) = screen
                .split_once("press a key")
                .expect("the loader asks for a key");
            after.contains("\n|Booting from")
        };
        assert!(!continues(&mut machine), "{error}: no key was pressed");

        machine.command("sendkey spc").expect("QEMU takes a key");
        while !continues(&mut machine) {
            assert!(start.elapsed() < LONG, "{error}: the key has no effect");
        }
        let head = bios_data(&mut machine, KEY_HEAD);
        assert_eq!(head, bios_data(&mut machine, KEY_TAIL), "{error}");
    }
}
