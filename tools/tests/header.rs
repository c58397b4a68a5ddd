//! The header of stage 2, with numbers that no image builder writes and a sum
//! that is right all the same: the loader says so; it neither hangs nor resets
//! the machine.

mod common;

use common::{Disk, LONG, fails, image};
use siso_image::layout::*;
use siso_image::{LOADER, SECTOR, sum};

/// What the loader says of a header like that.
const SENTENCE: &str = "E14 the image header is invalid";

/// A field: its address, and its bytes.
type Field = (u64, usize);

// The fields, by the names of the layout.
const PROOF: Field = (PROOF_SECTOR, 4);
const PROOF_SECTORS: Field = (PROOF_LEFT, 4);
const KERNEL: Field = (KERNEL_SECTOR, 4);
const KERNEL_SECTORS: Field = (KERNEL_LEFT, 4);
const HEADERS: Field = (ELF_SECTORS, 4);
const STACK: Field = (STACK_PAGES, 4);
const FRAMES: Field = (FRAMES_KNOWN, 4);
const INFO_FIRST: Field = (INFO_ADDRESS, 8);
const INFO_LAST: Field = (INFO_ADDRESS + 8, 8);
const GUARD_FIRST: Field = (STACK_GUARD, 8);
const GUARD_LAST: Field = (STACK_GUARD + 8, 8);
const PHYSICAL_FIRST: Field = (PHYSICAL_OFFSET, 8);
const PHYSICAL_LAST: Field = (PHYSICAL_OFFSET + 8, 8);

// Where the image builder puts things.
const INFO_HERE: u64 = SLOT_BOOT_INFO * SLOT_BYTES;
const GUARD_HERE: u64 = INFO_HERE + STACK_OFFSET - PAGE_BYTES;
const PHYSICAL_HERE: u64 = SLOT_PHYSICAL * SLOT_BYTES;

/// Not canonical: bit 47 is set, the ones above it are not.
const NOT_CANONICAL: u64 = 1 << 47;

/// A good image with these fields changed, and stage 2's sum made anew.
fn changed(fields: &[(Field, u64)]) -> Disk {
    let mut bytes = image("seed");
    for &((address, width), value) in fields {
        let at = (address - STAGE1_BASE) as usize;
        bytes[at..][..width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
    let sum = sum::stage2(&bytes[SECTOR..LOADER.len()]);
    let at = (STAGE2_SUM - STAGE1_BASE) as usize;
    bytes[at..][..4].copy_from_slice(&sum.to_le_bytes());
    Disk::new(&bytes)
}

fn refused(fields: &[(Field, u64)]) {
    fails(&changed(fields), &[], SENTENCE);
}

/// The sum that is made anew is the right one.
#[test]
fn a_good_header() {
    let mut machine = changed(&[]).boot(&[]);
    let screen = machine.wait_for_rest(LONG).expect("it comes to rest");
    assert_eq!(screen.row(0), "Hello World!");
}

#[test]
fn no_sectors_of_headers() {
    refused(&[(HEADERS, 0)]);
}

#[test]
fn too_many_sectors_of_headers() {
    refused(&[(HEADERS, 5)]);
}

#[test]
fn very_many_sectors_of_headers() {
    refused(&[(HEADERS, 0x8000_0000)]);
}

#[test]
fn more_headers_than_kernel() {
    refused(&[(HEADERS, 4)]);
}

#[test]
fn no_kernel() {
    refused(&[(KERNEL_SECTORS, 0)]);
}

#[test]
fn a_kernel_without_end() {
    refused(&[(KERNEL_SECTORS, 0xffff_ffff)]);
}

#[test]
fn no_proof() {
    refused(&[(PROOF_SECTORS, 0)]);
}

#[test]
fn a_proof_without_end() {
    refused(&[(PROOF_SECTORS, 0xffff_ffff)]);
}

#[test]
fn a_proof_inside_the_loader() {
    refused(&[(PROOF, 0)]);
}

#[test]
fn a_kernel_inside_the_loader() {
    refused(&[(KERNEL, 0)]);
}

#[test]
fn no_stack() {
    refused(&[(STACK, 0)]);
}

#[test]
fn a_stack_without_end() {
    refused(&[(STACK, 0xffff_ffff)]);
}

#[test]
fn no_frames() {
    refused(&[(FRAMES, 0)]);
}

#[test]
fn too_many_frames() {
    refused(&[(FRAMES, 0xffff_ffff)]);
}

#[test]
fn boot_info_not_canonical() {
    refused(&[(INFO_FIRST, NOT_CANONICAL)]);
}

#[test]
fn boot_info_in_the_first_mib() {
    refused(&[(INFO_FIRST, 0x8000)]);
}

#[test]
fn boot_info_inside_a_page() {
    refused(&[(INFO_FIRST, INFO_HERE + 8)]);
}

#[test]
fn boot_info_that_ends_before_it_begins() {
    refused(&[(INFO_LAST, 0)]);
}

#[test]
fn stack_not_canonical() {
    refused(&[(GUARD_FIRST, NOT_CANONICAL)]);
}

#[test]
fn stack_in_the_first_mib() {
    refused(&[(GUARD_FIRST, 0)]);
}

#[test]
fn stack_inside_a_page() {
    refused(&[(GUARD_FIRST, GUARD_HERE + 8)]);
}

#[test]
fn stack_that_ends_before_it_begins() {
    refused(&[(GUARD_LAST, 0)]);
}

#[test]
fn physical_memory_not_canonical() {
    refused(&[(PHYSICAL_FIRST, NOT_CANONICAL)]);
}

#[test]
fn physical_memory_at_0() {
    refused(&[(PHYSICAL_FIRST, 0)]);
}

#[test]
fn physical_memory_not_at_2_mib() {
    refused(&[(PHYSICAL_FIRST, PHYSICAL_HERE + 0x1000)]);
}

#[test]
fn physical_memory_that_ends_before_it_begins() {
    refused(&[(PHYSICAL_LAST, 0)]);
}
