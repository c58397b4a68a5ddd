//! The boot modules: a command line and a ramdisk reach the kernel unchanged, or
//! the loader reports an error.

use crate::common::pages::Pages;
use crate::common::{Disk, LONG, Random, fails, field, kernel, passes_with, top};
use siso_image::SECTOR;
use siso_image::elf::Kernel;
use siso_image::image::{Image, Options};
use siso_image::layout::{
    CHUNK_SECTORS, ELF_SECTORS, INFO_RAMDISK, KERNEL_SECTOR, KERNEL_SECTORS, PML4_BOOT_INFO,
    PML4_ENTRY_BYTES,
};
use siso_image::manifest::Manifest;
use siso_image::new;
use std::fs;

const PHYSICAL: u64 = 0x180_0000_0000;

fn image(name: &str, command_line: &str, ramdisk: Vec<u8>) -> Vec<u8> {
    let file = fs::read(kernel(name)).expect("the kernel can be read");
    let kernel = Kernel::parse(&file, false).expect("the kernel is valid");
    let options = Options {
        command_line: command_line.into(),
        ramdisk,
        ..Options::default()
    };
    let image = Image::new(&kernel, &Manifest::default(), &options);
    image.expect("there is room for all").bytes
}

/// A line of text followed by pseudo-random bytes.
fn ramdisk(length: usize) -> Vec<u8> {
    let mut random = Random(0x7a3d);
    let mut bytes = b"the first line\n".to_vec();
    bytes.resize_with(length, || random.below(256) as u8);
    bytes
}

/// Every byte reaches the kernel, for any length.
#[test]
fn they_reach_the_kernel() {
    for length in [16, 511, 512, 70_000, 5 << 18, 3 << 20 | 1] {
        let bytes = ramdisk(length);
        let disk = Disk::new(&image(
            "release/ramdisk",
            "one two=3 'four' ä",
            bytes.clone(),
        ));
        let mut machine = disk.boot(&[]);
        let screen = machine.wait_for_halt(LONG).expect("the kernel halts");
        // The screen shows only ASCII characters.
        assert_eq!(screen.row(0), "command line: one two=3 'four' ?");
        assert_eq!(screen.row(1), format!("ramdisk: {length} bytes"));
        assert_eq!(screen.row(2), "  the first line");
        let serial = machine.serial();
        let marks = serial.matches('#').count();
        assert_eq!(marks, if length < 1 << 20 { 0 } else { 40 }, "{serial}");
        let (_, address) = serial.split_once(" bytes at 0x").expect("an address");
        let address = u64::from_str_radix(address.trim(), 16).expect("an address");
        let memory = machine.memory(address - PHYSICAL, length);
        assert!(memory.expect("QEMU shows its memory") == bytes, "{length}");
    }
}

/// The template of thread-local storage lies in a segment: what is stored after the
/// segments is the modules'.
#[test]
fn beside_thread_local_storage() {
    let bytes = ramdisk(700);
    let disk = Disk::new(&image("tls", "one two", bytes.clone()));
    let mut machine = disk.boot(&[]);
    machine.wait_for_halt(LONG).expect("the kernel halts");
    let info = Pages::of(&mut machine).at(PML4_BOOT_INFO * PML4_ENTRY_BYTES);
    let ramdisk = info.expect("the boot info is mapped").phys + INFO_RAMDISK;
    let address = machine.memory(ramdisk, 8).expect("QEMU shows memory");
    let address = u64::from_le_bytes(address.try_into().expect("8 bytes"));
    let memory = machine.memory(address - PHYSICAL, bytes.len());
    assert!(memory.expect("QEMU shows its memory") == bytes);
}

#[test]
fn without_modules() {
    let disk = Disk::of("release/ramdisk");
    let screen = disk
        .boot(&[])
        .wait_for_halt(LONG)
        .expect("the kernel halts");
    assert_eq!(screen.row(0), "command line:");
    assert_eq!(screen.row(1), "no ramdisk");
}

/// The modules' memory is marked in the memory map: kernels that check the map
/// and their page tables in detail pass.
#[test]
fn kernels_that_do_not_use_modules() {
    for name in ["bootloader09", "higher_half_no_at", "tls"] {
        let disk = Disk::new(&image(name, "text", ramdisk(5 << 20)));
        passes_with(name, &disk, &["-machine", "q35", "-m", "64"]);
    }
}

/// A flipped bit in either module is detected, and the error names the sectors.
#[test]
fn damage() {
    let good = image("release/ramdisk", "text", ramdisk(200_000));
    let first = field(&good, KERNEL_SECTOR) * SECTOR;
    let command_line = good[first..].windows(4).position(|four| four == b"text");
    let ramdisk = good[first..]
        .windows(9)
        .position(|nine| nine == b"the first");
    let segments = field(&good, KERNEL_SECTOR) + field(&good, ELF_SECTORS);
    let end = field(&good, KERNEL_SECTOR) + field(&good, KERNEL_SECTORS);
    let chunk_sectors = CHUNK_SECTORS as usize;
    for at in [command_line, ramdisk, ramdisk.map(|at| at + 199_999)] {
        let mut bad = good.clone();
        let at = first + at.expect("the module is stored unchanged");
        bad[at] ^= 0x20;
        let chunk = (at / SECTOR - segments) / chunk_sectors;
        let from = segments + chunk * chunk_sectors;
        let last = end.min(from + chunk_sectors) - 1;
        let sentence = format!("E8 wrong data on the disk: sectors {from}-{last}");
        fails(&Disk::new(&bad), &[], &sentence);
    }
}

/// The loader reports a ramdisk that does not fit into memory.
#[test]
fn no_room() {
    let disk = Disk::new(&image("release/ramdisk", "", ramdisk(12 << 20)));
    fails(&disk, &["-m", "12"], "E13 not enough memory for the kernel");
}

/// The crate for kernel authors reads the same, and its constants are the loader's.
#[test]
fn the_crate_siso_boot_info() {
    let disk = Disk::new(&image("boot_info", "one two", b"three".to_vec()));
    let serial = passes_with("boot_info", &disk, &["-m", "64"]);
    assert!(
        serial.contains("boot_info: 60 MiB usable, 'one two', Ok(\"three\")"),
        "{serial}"
    );
    let copy = top().join("tools/boot-info/src/layout.rs");
    let copy = fs::read_to_string(copy).expect("the file can be read");
    assert_eq!(copy, new::layout(), "copy the loader's constants to it");
}
