//! The image header, with values that the image builder never writes but a
//! right checksum: the loader refuses it, or boots anyway; it neither hangs nor
//! resets the machine, nor starts a kernel that cannot run.

use crate::common::{Disk, EXIT, LONG, PASSED, image, refusal, row, says};
use siso_image::layout::*;
use siso_image::qemu::Machine;
use siso_image::{LOADER, SECTOR, checksum};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What the loader says of such a header.
const SENTENCE: &str = "E14 the image header is invalid";

/// A field: its address, and its bytes.
type Field = (u64, usize);

// The fields, by the names of the layout.
const TABLE: Field = (CHECKSUMS_SECTOR, 4);
const TABLE_SECTORS: Field = (CHECKSUMS_SECTORS, 4);
const KERNEL: Field = (KERNEL_SECTOR, 4);
const KERNEL_LENGTH: Field = (KERNEL_SECTORS, 4);
const HEADERS: Field = (ELF_SECTORS, 4);
const WX: Field = (ALLOW_WX, 4);
const STACK: Field = (STACK_PAGES, 4);
const FRAMES: Field = (MAX_FRAME, 4);
const INFO_FIRST: Field = (INFO_ADDRESS, 8);
const INFO_LAST: Field = (INFO_ADDRESS + 8, 8);
const GUARD_FIRST: Field = (STACK_GUARD, 8);
const GUARD_LAST: Field = (STACK_GUARD + 8, 8);
const PHYSICAL_FIRST: Field = (PHYSICAL_OFFSET, 8);
const PHYSICAL_LAST: Field = (PHYSICAL_OFFSET + 8, 8);

// Where the image builder puts them.
const INFO_HERE: u64 = PML4_BOOT_INFO * PML4_ENTRY_BYTES;
const GUARD_HERE: u64 = INFO_HERE + STACK_OFFSET - PAGE_BYTES;
const PHYSICAL_HERE: u64 = PML4_PHYSICAL * PML4_ENTRY_BYTES;

/// Not canonical: bit 47 is set, the ones above it are not.
const NOT_CANONICAL: u64 = 1 << 47;

/// Boots a good image with some fields changed and the checksum of stage 2 made
/// anew.
fn boot(changes: &[(Field, u64)]) -> Machine {
    let mut bytes = image("bootloader09");
    for &((address, width), value) in changes {
        let at = (address - STAGE1_BASE) as usize;
        bytes[at..][..width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
    let checksum = checksum::stage2(&bytes[SECTOR..LOADER.len()]);
    let at = (STAGE2_CHECKSUM - STAGE1_BASE) as usize;
    bytes[at..][..4].copy_from_slice(&checksum.to_le_bytes());
    Disk::new(&bytes).boot(&EXIT)
}

/// The checksum that is made anew is the right one.
#[test]
fn a_good_header() {
    let mut machine = boot(&[]);
    let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
    assert_eq!(status, Some(PASSED), "{}", machine.serial());
}

fn refused(name: &str, field: Field, value: u64) {
    println!("{name}");
    says(&mut boot(&[(field, value)]), SENTENCE);
    row(name, SENTENCE, SENTENCE, "QEMU");
}

#[test]
fn numbers() {
    refused("W^X half lifted", WX, 2);
    refused("no sectors of headers", HEADERS, 0);
    refused("too many sectors of headers", HEADERS, ELF_SECTORS_MAX + 1);
    refused("very many sectors of headers", HEADERS, 1 << 31);
    refused("no checksum table", TABLE_SECTORS, 0);
}

#[test]
fn ranges() {
    refused("no stack", STACK, 0);
    refused("a stack not canonical", GUARD_FIRST, NOT_CANONICAL);
    refused("a stack that ends before it begins", GUARD_LAST, 0);
    refused("a boot info not canonical", INFO_FIRST, NOT_CANONICAL);
    refused("a boot info inside a page", INFO_FIRST, INFO_HERE + 8);
    let physical = PHYSICAL_FIRST;
    refused("physical memory not canonical", physical, NOT_CANONICAL);
    let inside = PHYSICAL_HERE + PAGE_BYTES;
    refused("physical memory inside 2 MiB", physical, inside);

    let name = "physical memory that ends inside 2 MiB";
    let frames = FRAMES_4G + 100;
    let last = PHYSICAL_HERE + frames * PAGE_BYTES - 1;
    says(
        &mut boot(&[(FRAMES, frames), (PHYSICAL_LAST, last)]),
        SENTENCE,
    );
    row(name, SENTENCE, SENTENCE, "QEMU");
}

/// Whatever these lead to: an error, or a kernel that finds all in order.
#[test]
fn values_that_other_checks_may_find() {
    for (name, field, value) in [
        ("headers beyond the kernel", HEADERS, ELF_SECTORS_MAX),
        ("no kernel", KERNEL_LENGTH, 0),
        ("a kernel without end", KERNEL_LENGTH, 0xffff_ffff),
        ("a kernel in the boot sector", KERNEL, 0),
        ("a kernel beyond the disk", KERNEL, 0xffff_ffff),
        ("a checksum table without end", TABLE_SECTORS, 0xffff_ffff),
        ("the checksum table in the boot sector", TABLE, 0),
        ("the checksum table beyond the disk", TABLE, 0xffff_ffff),
        ("a stack without end", STACK, 0xffff_ffff),
        ("no frames", FRAMES, 0),
        ("too many frames", FRAMES, 0xffff_ffff),
        ("a boot info in the first MiB", INFO_FIRST, 0x8000),
        ("a boot info that ends before it begins", INFO_LAST, 0),
        ("a stack in the first MiB", GUARD_FIRST, 0),
        ("a stack inside a page", GUARD_FIRST, GUARD_HERE + 8),
        ("physical memory at 0", PHYSICAL_FIRST, 0),
        (
            "physical memory that ends before it begins",
            PHYSICAL_LAST,
            0,
        ),
    ] {
        let seen = outcome(&mut boot(&[(field, value)]));
        row(name, "a sentence, or boots", &seen, "QEMU");
        let fine = seen == "boots" || seen.starts_with('E');
        assert!(fine, "{name}: {seen}");
    }
}

/// The loader's error, or what became of the machine.
fn outcome(machine: &mut Machine) -> String {
    let start = Instant::now();
    while start.elapsed() < LONG {
        let serial = machine.serial();
        if let Some(sentence) = refusal(&serial) {
            return sentence.into();
        }
        if machine.has_ended() {
            let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
            return match status {
                Some(PASSED) => "boots".into(),
                _ => format!("status {status:?}: {serial}"),
            };
        }
        sleep(Duration::from_millis(50));
    }
    format!("hangs: {}", machine.serial())
}
