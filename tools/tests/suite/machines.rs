//! Machines with little and much memory, and with old and new CPUs.

use crate::common::bad_bios::BadBios;
use crate::common::{Disk, EXIT, Folder, LONG, bochs, fails, passed, passes, path};
use siso_image::qemu::Machine;

/// The usable memory in MiB that the loader reported to a kernel for the
/// `bootloader` crate.
fn usable(serial: &str) -> u64 {
    let line = serial.lines().find_map(|line| line.strip_prefix("usable "));
    let number = line
        .and_then(|line| line.split(' ').next())
        .and_then(|kib| kib.parse::<u64>().ok());
    number.unwrap_or_else(|| panic!("no usable memory: {serial}")) >> 10
}

/// Boots with this much memory. The kernel writes to the first and the last frame of
/// every usable region, through the mapping of physical memory.
fn memory(size: &str, mib: u64) {
    for machine in ["pc", "q35"] {
        let serial = passes("bootloader09", &["-m", size, "-machine", machine]);
        let usable = usable(&serial);
        // The firmware, the loader and the kernel use the rest.
        assert!(
            (mib - 6..=mib).contains(&usable),
            "{size} {machine}: {usable} MiB"
        );
    }
}

#[test]
fn eight_mib() {
    memory("8M", 8);
}

#[test]
fn sixteen_mib() {
    memory("16M", 16);
}

#[test]
fn a_hundred_and_twenty_eight_mib() {
    memory("128M", 128);
}

#[test]
fn three_gib() {
    memory("3G", 3072);
}

#[test]
fn eight_gib() {
    memory("8G", 8192);
}

#[test]
fn too_little_memory() {
    let disk = Disk::of("payload_16m");
    fails(
        &disk,
        &["-m", "16M"],
        "E13 not enough memory for the kernel",
    );
}

#[test]
fn cpus_without_long_mode() {
    let disk = Disk::of("release/siso_os");
    for cpu in ["486", "pentium3", "qemu32"] {
        fails(&disk, &["-cpu", cpu], "E4 this CPU has no 64-bit mode");
    }
}

#[test]
fn a_cpu_without_long_mode_on_bochs() {
    let disk = Disk::of("release/siso_os");
    let sentence = "E4 this CPU has no 64-bit mode";
    let seen = bochs::boot(&disk.path, "cpu: model=pentium", |serial| {
        serial.contains(sentence)
    });
    assert!(
        (1..25).any(|row| seen.screen.row(row) == sentence),
        "{}",
        seen.screen
    );
}

#[test]
fn a_cpu_without_nx() {
    let disk = Disk::of("release/siso_os");
    // In CPUs of Intel, the loader looks whether NX is only switched off.
    for cpu in ["qemu64,-nx", "Nehalem,-nx"] {
        let mut machine = disk.boot(&["-cpu", cpu]);
        let screen = machine.wait_for_halt(LONG).expect("the kernel halts");
        assert_eq!(screen.row(0), "Hello World!");
        passes("contract", &["-cpu", cpu]);
    }
}

/// The keyboard controller, which this machine lacks, also controls the A20 gate.
#[test]
fn a_pc_without_a_keyboard_controller() {
    // QEMU reads a virtio disk and AHCI, q35's default, several times faster than IDE.
    for (machine, interface) in [("pc,i8042=off", "virtio"), ("q35,i8042=off", "ide")] {
        passes("bootloader09", &["-machine", machine]);
        let disk = Disk::of("payload_16m");
        let drive = format!("if={interface},format=raw,file={}", path(&disk.path));
        let arguments = ["-machine", machine, "-drive", &drive];
        let machine = Machine::start(&[&EXIT[..], &arguments].concat());
        passed("payload_16m", machine.expect("QEMU starts"));
    }
    // Nothing can close the gate; the loader must not wait for a controller.
    for settings in [
        &[("a20_closed", 1), ("a20_lies", 1)][..],
        &[("a20_closes", 7)],
    ] {
        let (disk, folder) = (Disk::of("bootloader09"), Folder::new());
        let arguments = [&EXIT[..], &["-machine", "pc,i8042=off"]].concat();
        let (machine, _bios) = BadBios::new(settings).boot(&disk, &folder, &arguments);
        passed("bootloader09", machine);
    }
}
