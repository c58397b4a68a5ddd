//! Every single bit that the loader reads, flipped, one at a time.
//!
//! Inside one guest: `tests/firmware/bad_bios.s` flips bit n in what INT 13h
//! returns and comes back for n + 1 where the loader gives up. QEMU starts
//! again only when a flip hangs the machine or boots the kernel. Takes the
//! first bits of each part only, unless `SISO_FULL` is set (`make matrix`).

mod common;

use common::bad_bios::BadBios;
use common::looping::{NO_HANG, Outcomes, full, run};
use common::{Disk, Random, field, image, row};
use siso_image::layout::*;
use siso_image::{LOADER, SECTOR};
use std::ops::Range;
use std::time::Duration;

/// A kernel that resets the machine, which ends QEMU: so a boot is seen.
const KERNEL: &str = "triple_fault";
/// Flips these bits of the image, one at a time.
fn flip(bits: &[u32], hang: Duration) -> Outcomes {
    let disk = Disk::of(KERNEL);
    let mut outcomes = Outcomes::new();
    let places = BadBios::table_bytes() / 4;
    for bits in bits.chunks(places) {
        let mut bios = BadBios::new(&[("loop_list", 1)]);
        bios.set_table(
            &bits
                .iter()
                .flat_map(|bit| bit.to_le_bytes())
                .collect::<Vec<u8>>(),
        );
        run(&mut bios, &disk, bits.len(), hang, &mut outcomes);
    }
    outcomes
}

/// All bits of these sectors, or, in a short run, of which each 97th.
fn bits_of(sectors: Range<usize>) -> Vec<u32> {
    let step = if full() { 1 } else { 97 };
    let bits = sectors.start * SECTOR * 8..sectors.end * SECTOR * 8;
    bits.step_by(step).map(|bit| bit as u32).collect()
}

/// Some bits of these sectors, each time the same ones.
fn sample_of(sectors: Range<usize>, count: usize) -> Vec<u32> {
    let bits = ((sectors.end - sectors.start) * SECTOR * 8) as u64;
    let mut random = Random(0x5eed);
    let pick = |_| (sectors.start * SECTOR * 8) as u32 + random.below(bits) as u32;
    (0..count).map(pick).collect()
}

fn all_are(what: &str, outcomes: &Outcomes, sentence: &str, count: usize) {
    row(
        &format!("{count} bits of {what} flipped"),
        sentence,
        &format!("{outcomes:?}"),
        "QEMU",
    );
    assert_eq!(outcomes, &Outcomes::from([(sentence.to_string(), count)]));
}

#[test]
fn stage_2_and_its_header() {
    let bits = bits_of(1..LOADER.len() / SECTOR);
    all_are(
        "stage 2",
        &flip(&bits, NO_HANG),
        "E2 bad stage 2",
        bits.len(),
    );
}

#[test]
fn what_proves_the_kernel_and_its_headers() {
    let bytes = image(KERNEL);
    let segments = field(&bytes, KERNEL_SECTOR) + field(&bytes, ELF_SECTORS);
    let bits = bits_of(field(&bytes, CHECKSUMS_SECTOR)..segments);
    all_are(
        "the sums and headers",
        &flip(&bits, NO_HANG),
        "E8 wrong data on the disk",
        bits.len(),
    );
}

#[test]
fn the_kernel() {
    let bytes = image(KERNEL);
    let first = field(&bytes, KERNEL_SECTOR) + field(&bytes, ELF_SECTORS);
    let end = field(&bytes, KERNEL_SECTOR) + field(&bytes, KERNEL_SECTORS);
    let bits = sample_of(first..end, if full() { 2000 } else { 100 });
    all_are(
        "the kernel",
        &flip(&bits, NO_HANG),
        "E8 wrong data on the disk",
        bits.len(),
    );
}

/// Nobody proves stage 1: it is counted what comes of a flip there. Whatever
/// runs then, it must not be a kernel that was not proved.
#[test]
fn stage_1() {
    let bits = sample_of(0..1, if full() { 2000 } else { 24 });
    let outcomes = flip(&bits, Duration::from_secs(3));
    let what = format!("{} bits of stage 1 flipped", bits.len());
    row(
        &what,
        "(nobody proves it)",
        &format!("{outcomes:?}"),
        "QEMU",
    );
    assert_eq!(outcomes.values().sum::<usize>(), bits.len());
}
