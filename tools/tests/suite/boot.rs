//! This project's kernels boot on every emulator and print what they should.

use crate::common::{Disk, LONG, bochs, field, image};
use siso_image::SECTOR;
use siso_image::layout::{KERNEL_SECTOR, KERNEL_SECTORS};
use siso_image::qemu::{Machine, Screen};

/// Asserts that row 0 has the greeting, in light cyan on black.
fn assert_hello(screen: &Screen) {
    assert_eq!(screen.row(0), "Hello World!", "{screen}");
    for column in 0.."Hello World!".len() {
        assert_eq!(screen.attribute(0, column), 0x0b, "column {column}");
    }
}

/// Asserts that the serial line has the loader's messages in order, then the
/// kernel's.
fn assert_stages(serial: &str) {
    let stages = [
        "siso_os: stage 2",
        "memory ",
        "kernel ",
        "long mode, entry ",
        "Hello World! This",
    ];
    let mut rest = serial;
    for stage in stages {
        let at = rest
            .find(stage)
            .unwrap_or_else(|| panic!("'{stage}' is missing or out of order: {serial}"));
        rest = &rest[at + stage.len()..];
    }
}

fn boots(machine: &mut Machine) -> Screen {
    let screen = machine.wait_for_halt(LONG).unwrap_or_else(|failure| {
        panic!("{failure}; serial: {}", machine.serial());
    });
    assert_hello(&screen);
    screen
}

fn hello(profile: &str, arguments: &[&str]) {
    let disk = Disk::of(&format!("{profile}/siso_os"));
    let mut machine = disk.boot(arguments);
    boots(&mut machine);
    assert_stages(&machine.serial());
    // A panic would also count as a halt.
    let debug_port = machine.debug_port();
    assert!(debug_port.contains("long mode, entry"), "{debug_port}");
}

#[test]
fn release_on_qemu() {
    hello("release", &[]);
}

/// All that the loader says, to the letter.
#[test]
fn what_the_loader_says() {
    let image = image("release/siso_os");
    let sectors = field(&image, KERNEL_SECTORS);
    let entry = field(&image, KERNEL_SECTOR) * SECTOR + 24; // e_entry
    let entry = u64::from_le_bytes(image[entry..][..8].try_into().expect("8 bytes"));
    let mut machine = Disk::new(&image).boot(&[]);
    boots(&mut machine);
    let expected = format!(
        "\nsiso_os: stage 2, drive 80\nmemory 127 MiB\nkernel {} KiB \n\
         long mode, entry {entry:016X}\n",
        sectors.div_ceil(2)
    );
    let serial = machine.serial();
    assert!(serial.starts_with(&expected), "{expected}, not {serial}");
    let screen = machine.screen().expect("QEMU shows its screen");
    for line in expected.lines().map(str::trim_end) {
        let is_there = (0..25).any(|row| screen.row(row) == line);
        assert!(is_there, "no row is '{line}': {screen}");
    }
}

#[test]
fn debug_on_qemu() {
    hello("dev", &[]);
}

/// KVM checks what TCG does not: segment limits, for example.
#[test]
#[ignore = "needs a /dev/kvm that can be opened"]
fn release_on_kvm() {
    hello("release", &["-enable-kvm"]);
}

#[test]
#[ignore = "needs a /dev/kvm that can be opened"]
fn debug_on_kvm() {
    hello("dev", &["-enable-kvm"]);
}

#[test]
fn on_bochs() {
    for profile in ["release", "dev"] {
        let disk = Disk::of(&format!("{profile}/siso_os"));
        let seen = bochs::boot(
            &disk.path,
            "cpu: model=corei7_sandy_bridge_2600k",
            |serial| serial.contains("MiB of memory"),
        );
        assert_hello(&seen.screen);
        assert_stages(&seen.serial);
    }
}

#[test]
fn hello_example() {
    for name in ["dev/hello", "release/hello"] {
        boots(&mut Disk::of(name).boot(&[]));
    }
}

/// A minimal kernel, linked with the defaults of `rust-lld`.
#[test]
fn a_kernel_without_a_linker_script() {
    boots(&mut Disk::of("seed").boot(&[]));
}

/// Without a UART, only the serial output is missing.
#[test]
fn without_a_serial_line() {
    let disk = Disk::of("release/siso_os");
    let mut machine = disk.boot(&["-serial", "none", "-nodefaults", "-vga", "std"]);
    boots(&mut machine);
}
