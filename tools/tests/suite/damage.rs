//! The loader reports a damaged disk and never boots its kernel.

use crate::common::looping::full;
use crate::common::{Disk, LONG, Random, bochs, fails, field, image, row};
use siso_image::SECTOR;
use siso_image::layout::{CHECKSUMS_SECTOR, KERNEL_SECTOR, KERNEL_SECTORS};
use siso_image::qemu;
use std::ops::Range;

/// Boots an image with one bit flipped in a sector; asserts that the loader reports
/// this error.
fn flipped(sector: impl Fn(&[u8]) -> usize, sentence: &str) {
    let mut bytes = image("release/siso_os");
    let sector = sector(&bytes);
    bytes[sector * SECTOR + 100] ^= 4;
    fails(&Disk::new(&bytes), &[], sentence);
}

#[test]
fn stage_2() {
    flipped(|_| 3, "E2 bad stage 2");
}

#[test]
fn the_checksum_table() {
    // Byte 100 is not part of a checksum, but it is verified, too.
    flipped(
        |bytes| field(bytes, CHECKSUMS_SECTOR),
        "E8 wrong data on the disk: sectors ",
    );
}

#[test]
fn the_elf_headers() {
    flipped(
        |bytes| field(bytes, KERNEL_SECTOR),
        "E8 wrong data on the disk: sectors ",
    );
}

#[test]
fn the_kernel() {
    flipped(
        |bytes| field(bytes, KERNEL_SECTOR) + 5,
        "E8 wrong data on the disk: sectors ",
    );
}

/// The outcome of booting a disk that may be damaged: `boots`, or the loader's error.
fn outcome(bytes: &[u8]) -> String {
    let disk = Disk::new(bytes);
    let mut machine = disk.boot(&[]);
    let boots = |serial: &str| serial.contains("MiB of memory");
    let ended = |serial: &str| boots(serial) || qemu::loader_error(serial).is_some();
    machine.wait_for_serial(LONG, ended);
    let serial = machine.serial();
    if boots(&serial) {
        return "boots".into();
    }
    let error = qemu::loader_error(&serial).unwrap_or(serial);
    let words = error.split(':').next();
    words.unwrap_or_default().trim_end().into()
}

/// The sectors of each part of the image.
struct Parts {
    stage2: Range<usize>,
    /// With the checksum table.
    kernel: Range<usize>,
}

fn parts(bytes: &[u8]) -> Parts {
    let checksums = field(bytes, CHECKSUMS_SECTOR);
    let kernel = field(bytes, KERNEL_SECTOR);
    Parts {
        stage2: 1..checksums,
        kernel: checksums..kernel + field(bytes, KERNEL_SECTORS),
    }
}

/// A disk that ends before the end of the kernel cannot be read. A disk that ends in
/// the padding boots.
#[test]
fn a_disk_that_is_too_short() {
    let bytes = image("release/siso_os");
    let end = parts(&bytes).kernel.end;
    for sectors in 1..end + 2 {
        let actual = outcome(&bytes[..sectors * SECTOR]);
        let expected = if sectors < end {
            "E1 disk read"
        } else {
            "boots"
        };
        row(
            &format!("image cut to {sectors} sectors"),
            expected,
            &actual,
            "QEMU",
        );
        assert_eq!(actual, expected, "{sectors} sectors");
    }
}

#[test]
fn sectors_of_zeros() {
    let bytes = image("release/siso_os");
    let parts = parts(&bytes);
    for sector in 1..parts.kernel.end {
        let mut damaged = bytes.clone();
        damaged[sector * SECTOR..][..SECTOR].fill(0);
        let expected = match damaged == bytes {
            true => "boots",
            false if parts.stage2.contains(&sector) => "E2 bad stage 2",
            false => "E8 wrong data on the disk",
        };
        let actual = outcome(&damaged);
        row(
            &format!("sector {sector} set to zeros"),
            expected,
            &actual,
            "QEMU",
        );
        assert_eq!(actual, expected, "sector {sector}");
    }
}

#[test]
fn neighboring_sectors_swapped() {
    let bytes = image("release/siso_os");
    let parts = parts(&bytes);
    for sector in 1..parts.kernel.end - 1 {
        let mut damaged = bytes.clone();
        let (one, other) = damaged[sector * SECTOR..][..2 * SECTOR].split_at_mut(SECTOR);
        one.swap_with_slice(other);
        let expected = match damaged == bytes {
            true => "boots",
            false if parts.stage2.contains(&sector) => "E2 bad stage 2",
            false => "E8 wrong data on the disk",
        };
        let actual = outcome(&damaged);
        row(
            &format!("sectors {sector} and {} swapped", sector + 1),
            expected,
            &actual,
            "QEMU",
        );
        assert_eq!(actual, expected, "sector {sector}");
    }
}

/// Flips a sample of bits on the disk itself, and boots from power-on instead of in
/// a loop.
#[test]
fn flips_from_power_on() {
    let bytes = image("release/siso_os");
    let parts = parts(&bytes);
    let mut random = Random(0xf11b);
    for _ in 0..if full() { 200 } else { 6 } {
        let bit = random.below(((parts.kernel.end - 1) * SECTOR * 8) as u64) as usize + SECTOR * 8;
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let expected = match parts.stage2.contains(&(bit / 8 / SECTOR)) {
            true => "E2 bad stage 2",
            false => "E8 wrong data on the disk",
        };
        let actual = outcome(&damaged);
        row(&format!("bit {bit} flipped"), expected, &actual, "QEMU");
        assert_eq!(actual, expected, "bit {bit}");
        let disk = Disk::new(&damaged);
        let seen = bochs::boot(
            &disk.path,
            "cpu: model=corei7_sandy_bridge_2600k",
            |serial| serial.contains(expected) || serial.contains("MiB of memory"),
        );
        let actual = if seen.serial.contains(expected) {
            expected
        } else {
            "boots"
        };
        row(&format!("bit {bit} flipped"), expected, actual, "Bochs");
        assert_eq!(actual, expected, "bit {bit}");
    }
}
