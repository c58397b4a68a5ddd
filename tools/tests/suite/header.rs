//! Image headers with invalid values and a correct checksum. The loader reports an
//! error or boots the kernel; it never hangs, resets the machine or starts a kernel
//! that cannot run.

use crate::common::{Disk, EXIT, LONG, PASSED, assert_shows, field, image, row};
use siso_image::layout::*;
use siso_image::qemu::{Machine, loader_error};
use siso_image::{LOADER, SECTOR, checksum};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The loader's error for an invalid header.
const SENTENCE: &str = "E14 the image header is invalid";

/// A field: its address and its size in bytes.
type Field = (u64, usize);

const TABLE: Field = (CHECKSUMS_SECTOR, 4);
const TABLE_SECTORS: Field = (CHECKSUMS_SECTORS, 4);
const KERNEL: Field = (KERNEL_SECTOR, 4);
const KERNEL_LENGTH: Field = (KERNEL_SECTORS, 4);
const HEADERS: Field = (ELF_SECTORS, 4);
const WX: Field = (ALLOW_WX, 4);
const STACK: Field = (STACK_PAGES, 4);
const FRAMES: Field = (MAX_FRAME, 4);
const KERNEL_FEATURES: Field = (FEATURES, 4);
const ONLY_ERRORS: Field = (QUIET, 4);
const RECURSIVE: Field = (RECURSIVE_ADDRESS, 8);
const INFO_FIRST: Field = (INFO_ADDRESS, 8);
const INFO_LAST: Field = (INFO_ADDRESS + 8, 8);
const GUARD_FIRST: Field = (STACK_GUARD, 8);
const GUARD_LAST: Field = (STACK_GUARD + 8, 8);
const PHYSICAL_FIRST: Field = (PHYSICAL_OFFSET, 8);
const PHYSICAL_LAST: Field = (PHYSICAL_OFFSET + 8, 8);

// The addresses that the image builder writes.
const INFO_HERE: u64 = PML4_BOOT_INFO * PML4_ENTRY_BYTES;
const GUARD_HERE: u64 = INFO_HERE + STACK_OFFSET - PAGE_BYTES;
const PHYSICAL_HERE: u64 = PML4_PHYSICAL * PML4_ENTRY_BYTES;

/// Not canonical: bit 47 is set, but the bits above it are not.
const NOT_CANONICAL: u64 = 1 << 47;

/// Boots a valid image with some fields changed and the checksum of stage 2
/// corrected.
fn boot(changes: &[(Field, u64)]) -> Machine {
    boot_image(image("bootloader09"), changes)
}

fn boot_image(bytes: Vec<u8>, changes: &[(Field, u64)]) -> Machine {
    Disk::new(&change(bytes, changes)).boot(&EXIT)
}

/// Changes fields of an image, and corrects the checksum of stage 2.
fn change(mut bytes: Vec<u8>, changes: &[(Field, u64)]) -> Vec<u8> {
    for &((address, width), value) in changes {
        let at = (address - STAGE1_BASE) as usize;
        bytes[at..][..width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
    let checksum = checksum::stage2(&bytes[SECTOR..LOADER.len()]);
    let at = (STAGE2_CHECKSUM - STAGE1_BASE) as usize;
    bytes[at..][..4].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Makes the checksum table as long as a block of it can be, or longer, which is more
/// than a small kernel needs: what follows the table belongs to it, too.
pub fn with_a_long_table(bytes: Vec<u8>, sectors: u64) -> Vec<u8> {
    let table = field(&bytes, CHECKSUMS_SECTOR);
    let block = &bytes[table * SECTOR..][..CHUNK_SECTORS as usize * SECTOR];
    let checksum = checksum::chunk(block, table as u32);
    let changes = [
        (TABLE_SECTORS, sectors),
        ((CHECKSUMS_CHECKSUM, 8), checksum),
    ];
    change(bytes, &changes)
}

/// `boot` calculates the checksum correctly.
#[test]
fn a_valid_header() {
    passes(&[]);
}

fn invalid(name: &str, field: Field, value: u64) {
    all_invalid(name, &[(field, value)]);
}

fn all_invalid(name: &str, changes: &[(Field, u64)]) {
    println!("{name}");
    assert_shows(&mut boot(changes), SENTENCE);
    row(name, SENTENCE, SENTENCE, "QEMU");
}

#[test]
fn numbers() {
    invalid("invalid value of the W^X flag", WX, 2);
    invalid("0 sectors of ELF headers", HEADERS, 0);
    invalid(
        "one sector of ELF headers too many",
        HEADERS,
        ELF_SECTORS_MAX + 1,
    );
    invalid("2^31 sectors of ELF headers", HEADERS, 1 << 31);
    invalid("checksum table of 0 sectors", TABLE_SECTORS, 0);
    let name = "a feature of the kernel that is none";
    invalid(name, KERNEL_FEATURES, FEATURES_ALL + 1);
    // The last index of the address is that of the PML4's own entry.
    let name = "the PML4's own entry is that of physical memory";
    invalid(name, RECURSIVE, PML4_PHYSICAL * PAGE_BYTES);
}

/// A quiet loader shows its errors all the same, and nothing before them.
#[test]
fn an_error_of_a_quiet_loader() {
    let mut machine = boot(&[(ONLY_ERRORS, 1), (WX, 2)]);
    assert_shows(&mut machine, SENTENCE);
    assert_eq!(machine.debug_port().trim_start().find(SENTENCE), Some(0));
    row("invalid header, quiet", SENTENCE, SENTENCE, "QEMU");
}

#[test]
fn ranges() {
    invalid("stack of 0 pages", STACK, 0);
    invalid(
        "stack at a non-canonical address",
        GUARD_FIRST,
        NOT_CANONICAL,
    );
    invalid("stack that ends before it starts", GUARD_LAST, 0);
    invalid(
        "boot info at a non-canonical address",
        INFO_FIRST,
        NOT_CANONICAL,
    );
    invalid("boot info not aligned to a page", INFO_FIRST, INFO_HERE + 8);
    let physical = PHYSICAL_FIRST;
    invalid(
        "physical memory at a non-canonical address",
        physical,
        NOT_CANONICAL,
    );
    let inside = PHYSICAL_HERE + PAGE_BYTES;
    invalid("physical memory not aligned to 2 MiB", physical, inside);

    let name = "end of physical memory not aligned to 2 MiB";
    let frames = FRAMES_4G + 100;
    let last = PHYSICAL_HERE + frames * PAGE_BYTES - 1;
    all_invalid(name, &[(FRAMES, frames), (PHYSICAL_LAST, last)]);

    let frames = FRAMES_MAX + (2 << 20) / PAGE_BYTES;
    let last = PHYSICAL_HERE + frames * PAGE_BYTES - 1;
    all_invalid(
        "more than 4 TiB of physical memory",
        &[(FRAMES, frames), (PHYSICAL_LAST, last)],
    );
}

/// The table has one sector with 64 checksums, but the kernel has more chunks.
#[test]
fn a_checksum_table_that_is_too_short() {
    let bytes = image("payload_16m");
    let table = field(&bytes, CHECKSUMS_SECTOR);
    let checksum = checksum::chunk(&bytes[table * SECTOR..][..SECTOR], table as u32);
    let changes = [(TABLE_SECTORS, 1), ((CHECKSUMS_CHECKSUM, 8), checksum)];
    assert_shows(&mut boot_image(bytes, &changes), SENTENCE);
    let name = "checksum table too short for the kernel";
    row(name, SENTENCE, SENTENCE, "QEMU");
}

#[test]
fn a_checksum_table_that_is_longer_than_needed() {
    // One block, and one and a part of the next one, which is not needed.
    for sectors in [CHUNK_SECTORS, CHUNK_SECTORS + 1] {
        let disk = Disk::new(&with_a_long_table(image("bootloader09"), sectors));
        let mut machine = disk.boot(&EXIT);
        let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
        assert_eq!(status, Some(PASSED), "{sectors}: {}", machine.serial());
    }
}

/// Each range has the size that its number of pages says, but that number is wrong.
#[test]
fn ranges_of_a_wrong_size() {
    for pages in [0, STACK_PAGES_MAX + 1] {
        let last = GUARD_HERE + (pages + 1) * PAGE_BYTES - 1;
        all_invalid(
            &format!("stack of {pages} pages"),
            &[(STACK, pages), (GUARD_LAST, last)],
        );
    }
    let small = |frames: u64| {
        let last = PHYSICAL_HERE + frames * PAGE_BYTES - 1;
        [(FRAMES, frames), (PHYSICAL_LAST, last)]
    };
    let name = "less than 4 GiB of physical memory";
    all_invalid(name, &small(FRAMES_4G - (2 << 20) / PAGE_BYTES));
    passes(&small(FRAMES_4G));
}

fn passes(changes: &[(Field, u64)]) {
    let mut machine = boot(changes);
    let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
    assert_eq!(status, Some(PASSED), "{}", machine.serial());
}

/// Each range has the right size here, but lies where it must not.
#[test]
fn ranges_in_the_wrong_place() {
    let physical = |first: u64| {
        let last = first + FRAMES_MAX * PAGE_BYTES - 1;
        [(PHYSICAL_FIRST, first), (PHYSICAL_LAST, last)]
    };
    let info = |first: u64| [(INFO_FIRST, first), (INFO_LAST, first + PAGE_BYTES - 1)];
    all_invalid("boot info in the first MiB", &info(ONE_MIB - PAGE_BYTES));
    passes(&info(ONE_MIB));
    let name = "physical memory, all of it, not aligned to 2 MiB";
    all_invalid(name, &physical(PHYSICAL_HERE + PAGE_BYTES));
    let stack = stack_at(INFO_HERE + (4 << 20));
    all_invalid(
        "physical memory over the stack",
        &[stack, physical(INFO_HERE + (2 << 20))].concat(),
    );
    let name = "physical memory at non-canonical addresses";
    all_invalid(name, &physical(NOT_CANONICAL));
    let name = "physical memory up to a non-canonical address";
    all_invalid(name, &physical(NOT_CANONICAL - (2 << 20)));
    all_invalid("physical memory in the first MiB", &physical(0));
    let name = "physical memory over the boot info";
    all_invalid(name, &physical(INFO_HERE));
    all_invalid("stack over the boot info", &stack_at(INFO_HERE));
    let name = "stack that ends in the boot info";
    all_invalid(
        name,
        &stack_at(INFO_HERE - DEFAULT_STACK_PAGES * PAGE_BYTES),
    );
}

/// The stack's range, of the size that the image builder chose, from this address on.
fn stack_at(first: u64) -> [(Field, u64); 2] {
    let last = first + (DEFAULT_STACK_PAGES + 1) * PAGE_BYTES - 1;
    [(GUARD_FIRST, first), (GUARD_LAST, last)]
}

/// The stack may end where the boot info begins, and the other way around.
#[test]
fn a_stack_below_the_boot_info() {
    let first = INFO_HERE - (DEFAULT_STACK_PAGES + 1) * PAGE_BYTES;
    passes(&stack_at(first));
}

/// The header check may accept these values. Then the loader reports another error,
/// or the kernel boots and passes.
#[test]
fn values_that_the_header_check_may_accept() {
    for (name, field, value) in [
        (
            "more sectors of ELF headers than the kernel has",
            HEADERS,
            ELF_SECTORS_MAX,
        ),
        ("kernel of 0 sectors", KERNEL_LENGTH, 0),
        ("kernel of 2^32 - 1 sectors", KERNEL_LENGTH, 0xffff_ffff),
        ("kernel at sector 0", KERNEL, 0),
        ("kernel after the end of the disk", KERNEL, 0xffff_ffff),
        (
            "checksum table of 2^32 - 1 sectors",
            TABLE_SECTORS,
            0xffff_ffff,
        ),
        ("checksum table at sector 0", TABLE, 0),
        (
            "checksum table after the end of the disk",
            TABLE,
            0xffff_ffff,
        ),
        ("stack of 2^32 - 1 pages", STACK, 0xffff_ffff),
        ("0 frames", FRAMES, 0),
        ("2^32 - 1 frames", FRAMES, 0xffff_ffff),
        ("boot info in the first MiB", INFO_FIRST, 0x8000),
        ("boot info that ends before it starts", INFO_LAST, 0),
        ("stack in the first MiB", GUARD_FIRST, 0),
        ("stack not aligned to a page", GUARD_FIRST, GUARD_HERE + 8),
        ("physical memory at address 0", PHYSICAL_FIRST, 0),
        (
            "a kernel of the bootloader crate",
            KERNEL_FEATURES,
            FEATURE_CRATE | FEATURE_PHYSICAL,
        ),
        ("quiet: 2^32 - 1", ONLY_ERRORS, 0xffff_ffff),
        ("the last entry for the PML4 itself", RECURSIVE, u64::MAX),
        (
            "physical memory that ends before it starts",
            PHYSICAL_LAST,
            0,
        ),
    ] {
        let actual = outcome(&mut boot(&[(field, value)]));
        row(name, "an error, or boots", &actual, "QEMU");
        let allowed = actual == "boots" || actual.starts_with('E');
        assert!(allowed, "{name}: {actual}");
    }
}

/// The outcome of a boot: the loader's error, `boots`, or a failure.
fn outcome(machine: &mut Machine) -> String {
    let start = Instant::now();
    while start.elapsed() < LONG {
        let serial = machine.serial();
        if let Some(error) = loader_error(&serial) {
            return error;
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
