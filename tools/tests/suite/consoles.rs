//! The serial line: its settings after the loader, and each character only once.

use crate::common::{Disk, LONG, kernel, row};
use siso_image::elf::Kernel;
use siso_image::image::{Image, Options, Serial};
use siso_image::manifest::Manifest;
use siso_image::qemu::Machine;

/// Reads a byte from an I/O port with QEMU's monitor.
fn port(machine: &mut Machine, port: u16) -> u8 {
    let reply = machine.command(&format!("i /1bx {port:#x}"));
    let reply = reply.expect("QEMU reads a port");
    let value = reply.trim().rsplit("0x").next();
    let value = value.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    value.unwrap_or_else(|| panic!("port {port:#x}: {reply}"))
}

/// 115,200 baud, 8N1, no interrupts; DTR and RTS, which a terminal needs, and OUT2,
/// which connects the interrupt.
#[test]
fn the_uart_is_set_up() {
    const DATA: u16 = 0x3f8; // with DLAB: the divisor, low byte
    const INTERRUPTS: u16 = 0x3f9; // with DLAB: the divisor, high byte
    const LINE: u16 = 0x3fb;
    const MODEM: u16 = 0x3fc;
    const DLAB: u8 = 0x80;
    const EIGHT_N_1: u8 = 0x03;
    const DTR_RTS_OUT2: u8 = 0x0b;
    // This kernel does not use the serial line.
    let mut machine = Disk::of("seed").boot(&[]);
    machine.wait_for_halt(LONG).expect("the kernel halts");
    assert_eq!(port(&mut machine, LINE), EIGHT_N_1);
    assert_eq!(port(&mut machine, INTERRUPTS), 0, "no interrupts");
    let show_divisor = format!("o /b {LINE:#x} {:#x}", DLAB | EIGHT_N_1);
    machine
        .command(&show_divisor)
        .expect("QEMU writes to a port");
    let divisor = [port(&mut machine, DATA), port(&mut machine, INTERRUPTS)];
    assert_eq!(u16::from_le_bytes(divisor), 1);
    assert_eq!(port(&mut machine, MODEM), DTR_RTS_OUT2);
}

/// With `--quiet`, the loader shows nothing that is not an error.
#[test]
fn a_quiet_loader() {
    let file = std::fs::read(kernel("seed")).expect("the kernel can be read");
    let seed = Kernel::parse(&file, false).expect("the kernel is valid");
    let options = Options {
        quiet: true,
        ..Options::default()
    };
    let image = Image::new(&seed, &Manifest::default(), &options).expect("everything fits");
    let mut machine = Disk::new(&image.bytes).boot(&[]);
    let screen = machine.wait_for_halt(LONG).expect("the kernel halts");
    assert!(screen.row(0).starts_with("Hello World!"), "{screen}");
    assert!((1..25).all(|row| screen.row(row).is_empty()), "{screen}");
    assert_eq!((machine.serial(), machine.debug_port()), Default::default());
    row("a quiet loader", "nothing", "nothing", "QEMU");
}

/// Removes line feeds and escape sequences, such as those that move the cursor.
fn without_escapes(serial: &str) -> String {
    let mut rest = serial;
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        text += before;
        let end = match after.strip_prefix('[') {
            Some(sequence) => sequence.find(char::is_alphabetic).map(|at| at + 2),
            None => after.char_indices().nth(1).map(|(at, _)| at),
        };
        rest = end.map_or("", |end| &after[end..]);
    }
    text += rest;
    text.replace('\n', "") // some sequences have a line feed
}

#[test]
fn escape_sequences_are_removed() {
    let text = "\u{1b}[2;6Hsi\u{1b}c\u{1b}[?7lso\u{1b}[0m_os\u{1b}[";
    assert_eq!(without_escapes(text), "siso_os");
}

/// If INT 10h also writes to the serial line, the loader does not; otherwise, it
/// does. So each character is there once.
#[test]
fn each_character_once() {
    // Without the last character, which SeaBIOS keeps until the next one.
    const WORDS: [&str; 4] = [
        "siso_os: stage 2, drive 80",
        "memory ",
        "kernel ",
        "long mode, entry 00000",
    ];
    for arguments in [
        &[][..],
        &["-machine", "graphics=off"],
        &["-machine", "graphics=off", "-vga", "none"],
        &["-device", "sga"],
        &["-vga", "none"],
    ] {
        let mut machine = Disk::of("seed").boot(arguments);
        let screen = machine.wait_for_halt(LONG).expect("the kernel halts");
        assert_eq!(screen.row(0), "Hello World!");
        let serial = without_escapes(&machine.serial());
        for words in WORDS {
            let count = serial.matches(words).count();
            assert_eq!(count, 1, "{arguments:?}: {words}: {serial}");
        }
        let case = format!("serial output {}", arguments.join(" "));
        row(&case, "each character once", "each character once", "QEMU");
    }
}

/// The image can decide about the serial line, whatever the BIOS does with it.
#[test]
fn the_serial_line_as_the_image_says() {
    let file = std::fs::read(kernel("seed")).expect("the kernel can be read");
    let kernel = Kernel::parse(&file, false).expect("the kernel is valid");
    let mirrored = ["-device", "sga"];
    for (serial, arguments, expected) in [
        (Serial::Off, &[][..], None),
        (Serial::On, &[], Some("memory 127 MiB")),
        (Serial::Off, &mirrored, Some("memory 127 MiB")),
        // Each character twice: from the loader, then from the BIOS.
        (Serial::On, &mirrored, Some("mmeemmoorryy  112277  MMiiBB")),
    ] {
        let options = Options {
            serial,
            ..Options::default()
        };
        let image = Image::new(&kernel, &Manifest::default(), &options);
        let disk = Disk::new(&image.expect("there is room for all").bytes);
        let mut machine = disk.boot(arguments);
        let screen = machine.wait_for_halt(LONG).expect("the kernel halts");
        assert_eq!(screen.row(0), "Hello World!");
        assert!((1..25).any(|row| screen.row(row).starts_with("long mode, entry")));
        let text = without_escapes(&machine.serial());
        match expected {
            Some(line) => assert!(text.contains(line), "{arguments:?}: {text}"),
            None => assert_eq!(text, ""),
        }
    }
}
