//! What each kernel in `examples/` shows on the screen and on the serial line.

use crate::common::{Disk, LONG};
use siso_image::qemu::{COLUMNS, ROWS, Screen};

/// White on red: the colours of a panic or an exception.
const WHITE_ON_RED: u8 = 0x4f;
/// Light cyan on black: the colours of printed text.
const LIGHT_CYAN: u8 = 0x0b;

/// What an example shows when it has halted.
struct Seen {
    screen: Screen,
    /// The serial line from the end of the loader's last message on.
    serial: String,
}

impl Seen {
    fn of(name: &str) -> Self {
        Seen::with(name, &[])
    }

    fn with(name: &str, arguments: &[&str]) -> Self {
        let disk = Disk::of(name);
        let mut machine = disk.boot(arguments);
        let screen = machine.wait_for_halt(LONG).unwrap_or_else(|failure| {
            panic!("{name}: {failure}; serial: {}", machine.serial());
        });
        let all = machine.serial();
        let (_, serial) = all
            .split_once("long mode, entry ")
            .expect("the kernel has started");
        Seen {
            screen,
            serial: serial.into(),
        }
    }

    /// The row that begins with these words; asserts that the serial line has
    /// the same row.
    fn row(&self, start: &str) -> (usize, String) {
        let rows = (0..ROWS).map(|row| (row, self.screen.row(row)));
        let found = rows
            .clone()
            .find(|(_, text)| text.starts_with(start))
            .unwrap_or_else(|| panic!("no '{start}' on the screen:\n{}", self.screen));
        assert!(
            self.serial.lines().any(|line| line.trim_end() == found.1),
            "no '{}' on the serial line: {}",
            found.1,
            self.serial
        );
        found
    }

    /// Asserts that the example ended in this exception, shown in white on red.
    fn ends_in(&self, title: &str, words: &str, error_code: u64) {
        let first = self.row(title).0;
        assert_eq!(self.row(words).0, first + 1, "{}", self.screen);
        for (row, start) in [(3, "CR2 "), (8, "R15 "), (9, "RIP "), (10, "RSP ")] {
            assert_eq!(self.row(start).0, first + row, "{}", self.screen);
        }
        let code = format!("error  {error_code:#018x}");
        assert!(
            self.screen.row(first + 8).ends_with(&code),
            "{}",
            self.screen
        );
        for row in first..=first + 10 {
            for column in 0..COLUMNS {
                let attribute = self.screen.attribute(row, column);
                assert_eq!(attribute, WHITE_ON_RED, "row {row}, column {column}");
            }
        }
    }

    /// The address at the end of the first row, without the colon.
    fn announced(&self) -> String {
        let row = self.screen.row(0);
        let word = row.split(' ').next_back().expect("the row has a last word");
        word.trim_end_matches(':').into()
    }
}

#[test]
fn write_to_code() {
    for profile in ["release", "dev"] {
        let seen = Seen::of(&format!("{profile}/write_to_code"));
        let address = seen.announced();
        assert!(address.starts_with("0x20"), "{}", seen.screen);
        seen.ends_in(
            "exception 14: page fault (#PF)",
            &format!("tried to write to {address}: the page is not writable"),
            0x3,
        );
    }
}

#[test]
fn run_data() {
    for profile in ["release", "dev"] {
        let seen = Seen::of(&format!("{profile}/run_data"));
        let address = seen.announced();
        assert!(address.starts_with("0x2"), "{}", seen.screen);
        seen.ends_in(
            "exception 14: page fault (#PF)",
            &format!("tried to execute {address}: the page is not executable"),
            0x11,
        );
    }
}

/// On a CPU that cannot prevent it, the example says why.
#[test]
fn run_data_without_nx() {
    let seen = Seen::with("release/run_data", &["-cpu", "qemu64,-nx"]);
    seen.row("this CPU does not support NX");
}

#[test]
fn null_pointer() {
    for profile in ["release", "dev"] {
        Seen::of(&format!("{profile}/null_pointer")).ends_in(
            "exception 14: page fault (#PF)",
            "tried to read from 0x10: nothing is mapped there (a null pointer?)",
            0x0,
        );
    }
}

#[test]
fn stack_overflow() {
    for profile in ["release", "dev"] {
        Seen::of(&format!("{profile}/stack_overflow")).ends_in(
            "exception 8: double fault (#DF)",
            "the stack is full: it ran into the guard page at 0x10000001000",
            0x0,
        );
    }
}

#[test]
fn panic() {
    let seen = Seen::of("release/panic");
    assert_eq!(seen.screen.row(0), "Number 3 of [1, 2, 3]:");
    let (row, _) = seen.row("panicked at examples/panic.rs:");
    let words = "index out of bounds: the len is 3 but the index is 3";
    assert_eq!(seen.row(words).0, row + 1, "{}", seen.screen);
    assert_eq!(seen.screen.attribute(row, 0), WHITE_ON_RED);
    assert_eq!(seen.screen.row(row + 2), "", "{}", seen.screen);
}

/// The regions match the protocol, and their sizes add up to QEMU's memory.
#[test]
fn memory_map() {
    let seen = Seen::with("release/memory_map", &["-m", "64"]);
    let start = format!(
        "{:>18} {:>18} {:>12}  kind",
        "first address", "last address", "KiB"
    );
    assert_eq!(seen.row(&start).0, 0);
    let region = |start: &str, what: &str| {
        let row = seen.row(&format!("{start:>18} ")).1;
        assert!(row.ends_with(&format!("  {what}")), "{row}");
    };
    region("0x0", "frame zero");
    region("0x1000", "reserved");
    region("0x100000", "usable");
    region("0x200000", "kernel");
    assert_eq!(seen.screen.attribute(0, 20), LIGHT_CYAN);

    let rows = seen.serial.lines().skip(2).map(str::split_whitespace);
    let sizes = rows.map(|row| row.collect::<Vec<_>>());
    let in_ram = sizes.filter(|row| row[1].len() <= "0x3ffffff".len());
    let kib: u64 = in_ram
        .map(|row| row[2].parse::<u64>().expect("the size is a number"))
        .sum();
    assert_eq!(kib, 64 << 10, "{}", seen.serial);
}

/// The mappings match the protocol, and no page is writable and executable.
#[test]
fn page_tables() {
    let seen = Seen::of("release/page_tables");
    assert_eq!(seen.row("virtual addresses ").0, 0);
    let range = |start: &str, rights: &str| {
        let row = seen.row(start).1;
        assert!(row.ends_with(rights), "{row}");
        row
    };
    let low = range("0x0000000000001000-", "rw-"); // page 0 is not mapped
    assert!(low.contains("  0x0000001000  4 KiB"), "{low}");
    range("0x0000000000200000-", "r--");
    range("0x0000010000000000-0x0000010000000fff", "rw-"); // followed by a guard page
    range("0x0000010000002000-0x0000010000201fff", "rw-");
    range(
        "0x0000018000000000-0x00000180001fffff  0x0000000000  4 KiB",
        "rw-",
    );
    range(
        "0x0000018000200000-0x00000180ffffffff  0x0000200000  2 MiB",
        "rw-",
    );
    assert!(!seen.serial.contains("rwx"), "{}", seen.serial);
    let code = seen.serial.lines().filter(|line| line.ends_with("r-x"));
    assert_eq!(
        code.count(),
        2,
        "the code of the kernel and of the loader: {}",
        seen.serial
    );
}

#[test]
fn colors() {
    let seen = Seen::of("release/colors");
    let names = [
        "Black",
        "Blue",
        "Green",
        "Cyan",
        "Red",
        "Magenta",
        "Brown",
        "LightGray",
    ];
    for foreground in 0..16 {
        let row = 2 + usize::from(foreground);
        for background in 0..8 {
            let column = usize::from(background) * 8 + 1;
            let attribute = seen.screen.attribute(row, column);
            assert_eq!(attribute, background << 4 | foreground, "{}", seen.screen);
        }
        if let Some(name) = names.get(usize::from(foreground)) {
            assert!(seen.screen.row(row).ends_with(name), "{}", seen.screen);
        }
    }
    assert!(seen.screen.row(17).ends_with("White"), "{}", seen.screen);
    assert!(seen.serial.contains("the colours are on the screen"));
}

/// The state at entry matches the protocol; the names are the manual's.
#[test]
fn registers() {
    let seen = Seen::of("release/registers");
    assert_eq!(seen.row("CR0 = 0x800").0, 0, "the screen has not scrolled");
    for bit in [
        "  bit  0  PE: ",
        "  bit 16  WP: ",
        "  bit 31  PG: ",
        "  bit  5  PAE: ",
        "  bit 10  LMA: ",
        "  bit 11  NXE: ",
        "  bit  1  1: ",
    ] {
        seen.row(bit);
    }
    assert_eq!(seen.row("CR4 = ").1, "CR4 = 0x20");
    let flags = seen
        .serial
        .lines()
        .next_back()
        .expect("the serial line has a last line");
    assert!(
        flags.contains(" IF DF "),
        "interrupts are disabled: {flags}"
    );
}
