//! A damaged disk is named, never trusted.

mod common;

use common::{Disk, fails, image};
use siso_image::SECTOR;
use siso_image::layout::{KERNEL_SECTOR, PROOF_SECTOR, STAGE1_BASE};

/// A field of stage 2's header, as the image builder filled it.
fn field(bytes: &[u8], address: u64) -> usize {
    let at = (address - STAGE1_BASE) as usize;
    u32::from_le_bytes(bytes[at..][..4].try_into().expect("four bytes")) as usize
}

/// Boots our kernel with one bit flipped in a sector.
fn flipped(sector: impl Fn(&[u8]) -> usize, sentence: &str) {
    let mut bytes = image("release/siso_os");
    let sector = sector(&bytes);
    bytes[sector * SECTOR + 100] ^= 4;
    fails(&Disk::new(&bytes), &[], sentence);
}

#[test]
fn stage_2() {
    flipped(|_| 3, "E2 stage 2 bad");
}

#[test]
fn the_sums() {
    // What stands in the table beside the two sums must be right, too.
    flipped(
        |bytes| field(bytes, PROOF_SECTOR),
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

#[test]
fn two_sectors_swapped() {
    let mut bytes = image("release/siso_os");
    let first = (field(&bytes, KERNEL_SECTOR) + 4) * SECTOR;
    let (one, other) = bytes[first..first + 2 * SECTOR].split_at_mut(SECTOR);
    one.swap_with_slice(other);
    fails(
        &Disk::new(&bytes),
        &[],
        "E8 wrong data on the disk: sectors ",
    );
}

/// Cut off in the middle of the kernel, the disk cannot be read to its end.
#[test]
fn a_disk_that_is_too_short() {
    let bytes = image("payload_16m");
    fails(&Disk::new(&bytes[..8 << 20]), &[], "E1 disk read: sectors ");
}
