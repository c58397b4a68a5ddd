//! A damaged disk is named, never trusted.

use crate::common::looping::full;
use crate::common::{Disk, LONG, Random, bochs, fails, field, image, refusal, row};
use siso_image::SECTOR;
use siso_image::layout::{CHECKSUMS_SECTOR, KERNEL_SECTOR, KERNEL_SECTORS};
use std::ops::Range;
use std::thread::sleep;
use std::time::Duration;

/// Boots our kernel with one bit flipped in a sector.
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
fn the_sums() {
    // What stands in the table beside the two sums must be right, too.
    flipped(
        |bytes| field(bytes, CHECKSUMS_SECTOR),
        "E8 wrong data on the disk: sectors ",
    );
}

#[test]
fn the_kernels_headers() {
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

/// Boots a disk that may be damaged; what became of it, in a word or two.
fn outcome(bytes: &[u8]) -> String {
    let disk = Disk::new(bytes);
    let mut machine = disk.boot(&[]);
    let over = |serial: &str| serial.contains("MiB of memory") || refusal(serial).is_some();
    machine.wait_for_serial(LONG, over);
    let mut serial = machine.serial();
    loop {
        sleep(Duration::from_millis(300)); // it may be in the middle of a line
        let now = machine.serial();
        if now == serial {
            break;
        }
        serial = now;
    }
    let words = refusal(&serial).or(serial.lines().next_back());
    let words = words.and_then(|words| words.split(':').next());
    if serial.contains("MiB of memory") {
        "boots".into()
    } else {
        words.unwrap_or_default().into()
    }
}

/// Where the parts of the image are, in sectors.
struct Parts {
    stage2: Range<usize>,
    kernel: Range<usize>,
}

fn parts(bytes: &[u8]) -> Parts {
    let proof = field(bytes, CHECKSUMS_SECTOR);
    let kernel = field(bytes, KERNEL_SECTOR);
    Parts {
        stage2: 1..proof,
        kernel: proof..kernel + field(bytes, KERNEL_SECTORS),
    }
}

/// Cut short at each sector boundary, the disk cannot be read to its end; cut
/// inside its padding, it boots.
#[test]
fn a_disk_that_is_too_short() {
    let bytes = image("release/siso_os");
    let end = parts(&bytes).kernel.end;
    for sectors in 1..end + 2 {
        let seen = outcome(&bytes[..sectors * SECTOR]);
        let expected = if sectors < end {
            "E1 disk read"
        } else {
            "boots"
        };
        row(
            &format!("cut to {sectors} sectors"),
            expected,
            &seen,
            "QEMU",
        );
        assert_eq!(seen, expected, "{sectors} sectors");
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
        let seen = outcome(&damaged);
        row(&format!("sector {sector} zeroed"), expected, &seen, "QEMU");
        assert_eq!(seen, expected, "sector {sector}");
    }
}

#[test]
fn neighbours_swapped() {
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
        let seen = outcome(&damaged);
        row(
            &format!("sectors {sector} and {} swapped", sector + 1),
            expected,
            &seen,
            "QEMU",
        );
        assert_eq!(seen, expected, "sector {sector}");
    }
}

/// A sample of flips from power-on, without the program that flips in a loop.
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
        let seen = outcome(&damaged);
        row(&format!("bit {bit} flipped"), expected, &seen, "QEMU");
        assert_eq!(seen, expected, "bit {bit}");
        let disk = Disk::new(&damaged);
        let seen = bochs::boot(
            &disk.path,
            "cpu: model=corei7_sandy_bridge_2600k",
            |serial| serial.contains(expected) || serial.contains("MiB of memory"),
        );
        let seen = if seen.serial.contains(expected) {
            expected
        } else {
            "boots"
        };
        row(&format!("bit {bit} flipped"), expected, seen, "Bochs");
        assert_eq!(seen, expected, "bit {bit}");
    }
}
