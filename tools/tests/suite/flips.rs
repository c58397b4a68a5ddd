//! Flips each bit that the loader reads, one at a time.
//!
//! All flips run in one guest: `tests/firmware/bad_bios.s` flips bit n in the data
//! that INT 13h returns, and continues with bit n + 1 when the loader gives up.
//! QEMU is started again only after a hang or a boot of the kernel. Only a sample
//! of the bits is tested unless `SISO_FULL` is set (`make faults`).

use crate::common::bad_bios::BadBios;
use crate::common::looping::{NO_HANG, Outcomes, full, run};
use crate::common::{Disk, Random, field, image, row};
use siso_image::layout::*;
use siso_image::{LOADER, SECTOR};
use std::ops::Range;
use std::time::Duration;

/// A kernel that resets the machine, so that a boot is detected.
const KERNEL: &str = "triple_fault";

/// Flips these bits of the image, one at a time. Stage 1 reads stage 2 once, not
/// four times: the bit is flipped in every read.
fn flip(bits: &[u32], hang: Duration) -> Outcomes {
    flip_with(bits, hang, &[])
}

/// The same with more arguments for QEMU.
fn flip_with(bits: &[u32], hang: Duration, arguments: &[&str]) -> Outcomes {
    let mut bytes = image(KERNEL);
    bytes[(TRIES_LEFT - STAGE1_BASE) as usize] = 1;
    let disk = Disk::new(&bytes);
    let mut outcomes = Outcomes::new();
    let capacity = BadBios::table_bytes() / 4;
    for bits in bits.chunks(capacity) {
        let mut bios = BadBios::new(&[("loop_list", 1)]);
        bios.set_table(
            &bits
                .iter()
                .flat_map(|bit| bit.to_le_bytes())
                .collect::<Vec<u8>>(),
        );
        run(
            &mut bios,
            &disk,
            bits.len(),
            hang,
            &mut outcomes,
            arguments,
            |_| (),
        );
    }
    outcomes
}

/// All bits of these sectors, or every 97th bit in a short run.
fn bits_of(sectors: Range<usize>) -> Vec<u32> {
    let step = if full() { 1 } else { 97 };
    let bits = sectors.start * SECTOR * 8..sectors.end * SECTOR * 8;
    bits.step_by(step).map(|bit| bit as u32).collect()
}

/// A sample of the bits of these sectors, the same in every run.
fn sample_of(sectors: Range<usize>, count: usize) -> Vec<u32> {
    let bits = ((sectors.end - sectors.start) * SECTOR * 8) as u64;
    let mut random = Random(0x5eed);
    let pick = |_| (sectors.start * SECTOR * 8) as u32 + random.below(bits) as u32;
    (0..count).map(pick).collect()
}

fn assert_all(what: &str, outcomes: &Outcomes, sentence: &str, count: usize) {
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
    assert_all(
        "stage 2",
        &flip(&bits, NO_HANG),
        "E2 bad stage 2",
        bits.len(),
    );
}

#[test]
fn the_checksum_table_and_the_headers() {
    let bytes = image(KERNEL);
    let segments = field(&bytes, KERNEL_SECTOR) + field(&bytes, ELF_SECTORS);
    let bits = bits_of(field(&bytes, CHECKSUMS_SECTOR)..segments);
    assert_all(
        "the checksum table and the headers",
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
    assert_all(
        "the kernel",
        &flip(&bits, NO_HANG),
        "E8 wrong data on the disk",
        bits.len(),
    );
}

/// Nothing verifies stage 1, so the outcomes of flips in it are only counted. It
/// must still never start a kernel that was not verified.
#[test]
fn stage_1() {
    let bits = sample_of(0..1, if full() { 2000 } else { 24 });
    // The name tells `make coverage` that a damaged loader runs.
    let outcomes = flip_with(&bits, Duration::from_secs(3), &["-name", "damaged"]);
    let what = format!("{} bits of stage 1 flipped", bits.len());
    row(&what, "(not verified)", &format!("{outcomes:?}"), "QEMU");
    assert_eq!(outcomes.values().sum::<usize>(), bits.len());
}
