//! The disk of `tests/firmware/bad_bios.s`, with its settings filled in.

use super::{Disk, EXIT, Folder, LONG, NO_NETWORK, PASSED, assert_shows, row, top};
use siso_image::qemu::Machine;
use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

/// A disk with a program that acts as a BIOS and boots another disk.
pub struct BadBios {
    bytes: Vec<u8>,
}

struct Program {
    bytes: Vec<u8>,
    symbols: HashMap<String, usize>,
}

/// The assembled program, without settings.
fn program() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Folder::new();
        let file = |name: &str| folder.0.join(name);
        let run = |command: &mut Command| {
            let output = command
                .output()
                .unwrap_or_else(|error| panic!("{command:?}: {error}"));
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let source = top().join("tests/firmware/bad_bios.s");
        run(Command::new("as")
            .args(["--64", "--fatal-warnings", "-o"])
            .arg(file("o"))
            .arg(source));
        run(Command::new("ld")
            .args(["-Ttext=0", "--oformat=binary", "-e", "start", "-o"])
            .args([file("bin"), file("o")]));
        let listing = run(Command::new("nm").arg(file("o")));
        let symbol = |line: &str| {
            let mut words = line.split(' ');
            let value = usize::from_str_radix(words.next()?, 16).ok()?;
            Some((words.nth(1)?.to_string(), value))
        };
        Program {
            bytes: fs::read(file("bin")).expect("the linker wrote it"),
            symbols: listing.lines().filter_map(symbol).collect(),
        }
    })
}

impl BadBios {
    /// A good BIOS, except for these settings.
    pub fn new(settings: &[(&str, u32)]) -> Self {
        let mut bios = BadBios {
            bytes: program().bytes.clone(),
        };
        for (name, value) in settings {
            bios.set(name, *value);
        }
        bios
    }

    /// Changes a setting, which has 16 bits, or 32 if it is a bit or a sector.
    pub fn set(&mut self, name: &str, value: u32) {
        let at = *program()
            .symbols
            .get(name)
            .unwrap_or_else(|| panic!("no setting {name}"));
        let long = ["loop_first", "loop_end", "mutant_checksums", "mutant_elf"];
        let width = if long.contains(&name) { 4 } else { 2 };
        self.bytes[at..][..width].copy_from_slice(&value.to_le_bytes()[..width]);
    }

    /// Makes E820 report these entries: address, length, type, attributes.
    pub fn set_memory_map(&mut self, entries: &[(u64, u64, u32, u32)]) {
        let bytes = |&(base, length, kind, attributes): &(u64, u64, u32, u32)| {
            let range = [base.to_le_bytes(), length.to_le_bytes()].concat();
            let kind = [kind.to_le_bytes(), attributes.to_le_bytes()].concat();
            [range, kind].concat()
        };
        self.set("e820_mode", 1);
        self.set("e820_count", entries.len() as u32);
        self.set_table(&entries.iter().flat_map(bytes).collect::<Vec<u8>>());
    }

    /// Fills the table with entries of E820, or with bit numbers.
    pub fn set_table(&mut self, bytes: &[u8]) {
        let at = program().symbols["table"];
        self.bytes[at..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Adds bytes to the disk, after the program.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// The size of the table in bytes.
    pub fn table_bytes() -> usize {
        program().bytes.len() - program().symbols["table"]
    }

    /// Boots a disk with this BIOS, with more arguments for QEMU. A loop writes its
    /// outcomes to the file `report` in the folder.
    pub fn boot(&self, disk: &Disk, report: &Folder, arguments: &[&str]) -> (Machine, Disk) {
        let bios = Disk::new(&self.bytes);
        let drive = |id: &str, disk: &Disk| {
            format!("if=none,id={id},format=raw,file={}", disk.path.display())
        };
        let (first, second) = (drive("bios", &bios), drive("image", disk));
        let chardev = format!("file,id=report,path={}", report.0.join("report").display());
        let ours = ["-drive", &first, "-drive", &second, "-chardev", &chardev];
        // The image is a virtio drive: with IDE the guest's CPU copies every word,
        // which takes most of the time of a loop.
        let devices = [
            "-device",
            "ide-hd,drive=bios,bootindex=0",
            "-device",
            "virtio-blk-pci,drive=image,bootindex=1",
            "-device",
            "isa-debugcon,iobase=0x504,chardev=report",
        ];
        let all = [&ours[..], &devices, &NO_NETWORK, arguments].concat();
        (Machine::start(&all).expect("QEMU starts"), bios)
    }
}

/// The expected outcome of a boot.
pub enum Expected {
    /// A test kernel boots and passes.
    Boots,
    /// The loader reports this error.
    Error(&'static str),
}
use Expected::{Boots, Error};

/// Boots with this BIOS and asserts the outcome; returns the serial output.
pub fn check(name: &str, bios: &BadBios, expected: &Expected) -> String {
    check_kernel(name, bios, expected, "bootloader09", &[])
}

/// The same with another kernel, and with more arguments for QEMU.
pub fn check_kernel(
    name: &str,
    bios: &BadBios,
    expected: &Expected,
    kernel: &str,
    arguments: &[&str],
) -> String {
    let (disk, folder) = (Disk::of(kernel), Folder::new());
    let (mut machine, _bios) = bios.boot(&disk, &folder, &[&EXIT, arguments].concat());
    match expected {
        Boots => {
            let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
            assert_eq!(status, Some(PASSED), "{name}: {}", machine.serial());
        }
        Error(error) => assert_shows(&mut machine, error),
    }
    let expected = match expected {
        Boots => "boots",
        Error(error) => error,
    };
    row(name, expected, expected, "QEMU");
    machine.serial()
}

/// A fault of a BIOS.
pub struct Case {
    name: &'static str,
    settings: &'static [(&'static str, u32)],
    expected: Expected,
}

/// A row of a table of faults.
pub const fn case(
    name: &'static str,
    settings: &'static [(&'static str, u32)],
    expected: Expected,
) -> Case {
    Case {
        name,
        settings,
        expected,
    }
}

/// Checks each row.
pub fn check_all(cases: &[Case]) {
    for case in cases {
        check(case.name, &BadBios::new(case.settings), &case.expected);
    }
}
