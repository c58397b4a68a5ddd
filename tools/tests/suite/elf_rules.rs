//! The image builder refuses kernels that the loader cannot start, with one line each,
//! and does not change an existing image.

use crate::common::{Folder, kernel, path, siso_image};
use siso_image::elf::Kernel;
use siso_image::layout::ONE_MIB;
use std::fs;

/// Offsets of fields in the ELF header.
const E_CLASS: usize = 4;
const E_DATA: usize = 5;
const E_TYPE: usize = 16;
const E_MACHINE: usize = 18;
const E_ENTRY: usize = 24;
const E_PHENTSIZE: usize = 54;
const E_PHNUM: usize = 56;
/// Offset of the first program header, and of its fields.
const PHDR: usize = 64;
const P_FLAGS: usize = PHDR + 4;
const P_OFFSET: usize = PHDR + 8;
const P_VADDR: usize = PHDR + 16;
const P_FILESZ: usize = PHDR + 32;
const P_MEMSZ: usize = PHDR + 40;
const P_BYTES: usize = 56;

/// Builds an image from these bytes over an existing image. Asserts that they are
/// refused with one line that contains these words, and that the existing image
/// is unchanged.
fn refused(bytes: &[u8], words: &str) {
    let folder = Folder::new();
    let (elf, image) = (folder.0.join("bad.elf"), folder.0.join("old.img"));
    fs::write(&elf, bytes).expect("a file can be written");
    fs::write(&image, "old").expect("a file can be written");
    let output = siso_image(&["build", path(&elf), "-o", path(&image)]);
    let said = String::from_utf8(output.stderr).expect("the message is UTF-8");
    assert_eq!(output.status.code(), Some(1), "{words}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("bad.elf"), "the file is not named: {said}");
    assert!(said.contains(words), "'{words}' is not in: {said}");
    assert_eq!(
        fs::read(&image).expect("the old image still exists"),
        b"old"
    );
    assert_eq!(
        fs::read_dir(&folder.0)
            .expect("the folder can be read")
            .count(),
        2,
        "a temporary file is left over"
    );
}

/// The same with a valid kernel in which some bytes are changed.
fn refused_with(changes: &[(usize, &[u8])], words: &str) {
    let mut bytes = fs::read(kernel("release/siso_os")).expect("the kernel can be read");
    for (at, change) in changes {
        bytes[*at..][..change.len()].copy_from_slice(change);
    }
    refused(&bytes, words);
}

/// The offset of a sequence of words, given by their distances from the first and
/// their values.
fn words_at(file: &[u8], expected: &[(usize, u64)]) -> usize {
    let (words, _) = file.as_chunks::<8>();
    let is = |n: usize, value: u64| {
        words
            .get(n)
            .is_some_and(|w| u64::from_le_bytes(*w) == value)
    };
    let found = (0..words.len()).find(|n| expected.iter().all(|(m, value)| is(n + m, *value)));
    found.expect("the file has these words") * 8
}

/// Only relative relocations can be applied; the error names others.
#[test]
fn relocations() {
    let file = fs::read(kernel("pie")).expect("the kernel can be read");
    let entry = words_at(&file, &[(1, 8), (4, 8), (7, 8)]);
    // DT_RELA, DT_RELASZ, and DT_RELAENT, whose value is 24.
    let dynamic = words_at(&file, &[(0, 7), (2, 8), (4, 9), (5, 24)]);
    let table = entry.to_le_bytes();
    assert_eq!(
        file[dynamic + 8..][..8],
        table,
        "linked at 0, so addresses equal file offsets"
    );
    for (at, value, words) in [
        (
            entry + 8,
            6,
            "it has the relocation R_X86_64_GLOB_DAT at 0x",
        ),
        (entry + 8, 99, "it has a relocation of type 99 at 0x"),
        (
            entry,
            0x10_0000,
            "a relocation applies to 0x300000, which has no bytes in the file",
        ),
        (entry, u64::MAX - 3, "which has no bytes in the file"),
        (
            dynamic + 8,
            0x10_0000,
            "its relocations are not in its segments",
        ),
        (
            dynamic + 24,
            u64::MAX,
            "its relocations are not in its segments",
        ),
        (dynamic, 1, "it needs a shared library (DT_NEEDED)"),
        (dynamic, 18, "it has relocations in a DT_REL table"),
        (dynamic, 35, "it has relocations in a DT_RELR table"),
    ] {
        let mut bad = file.clone();
        bad[at..][..8].copy_from_slice(&value.to_le_bytes());
        refused(&bad, words);
    }
}

#[test]
fn files_that_are_not_elf() {
    refused(b"", "not an ELF file");
    refused(b"#!/bin/sh\n", "not an ELF file");
    refused_with(&[(E_CLASS, &[9])], "not an ELF file");
    refused(b"\x7fELF", "ends within its ELF header");
}

#[test]
fn elf_files_for_other_systems() {
    refused_with(&[(E_CLASS, &[1])], "32-bit");
    refused_with(&[(E_DATA, &[2])], "big-endian");
    refused_with(&[(E_MACHINE, &[183])], "machine 183");
    refused_with(&[(E_TYPE, &[1])], "ELF type 1");
    refused_with(&[(PHDR, &[3])], "dynamic linker");
    refused_with(&[(E_PHENTSIZE, &[55])], "program headers of 55 bytes");
}

#[test]
fn nothing_to_load() {
    refused_with(&[(E_PHNUM, &[0, 0])], "nothing to load");
    let not_load: Vec<(usize, &[u8])> = (0..3).map(|n| (PHDR + n * P_BYTES, &[4][..])).collect();
    refused_with(&not_load, "nothing to load");
}

#[test]
fn truncated_files() {
    let bytes = fs::read(kernel("release/siso_os")).expect("the kernel can be read");
    refused(&bytes[..PHDR + 10], "ends within its program headers");
    refused(&bytes[..0x1100], "ends within a segment");
    refused_with(
        &[(E_PHNUM, &[0xfe, 0xff])],
        "ends within its program headers",
    );
    refused_with(&[(P_OFFSET, &[0xff; 8])], "ends within a segment");
}

#[test]
fn segments_at_impossible_addresses() {
    refused_with(&[(P_VADDR, &0u64.to_le_bytes())], "overlaps the first MiB");
    refused_with(
        &[(P_VADDR, &0u64.to_le_bytes())],
        "segment at 0x0 (r--, ", // its rights
    );
    refused_with(
        &[(P_VADDR, &(ONE_MIB - 1).to_le_bytes())],
        "overlaps the first MiB",
    );
    refused_with(&[(P_VADDR, &(1u64 << 47).to_le_bytes())], "canonical");
    refused_with(&[(P_VADDR, &(u64::MAX - 1).to_le_bytes())], "canonical");
    refused_with(
        &[(P_MEMSZ, &0x2000u64.to_le_bytes())],
        "overlaps the segment",
    );
    refused_with(&[(P_MEMSZ, &1u64.to_le_bytes())], "bytes in the file");
    refused_with(&[(P_MEMSZ, &u64::MAX.to_le_bytes())], "larger than 2 GiB");
    let huge = [
        (P_FILESZ, &u64::MAX.to_le_bytes()[..]),
        (P_MEMSZ, &u64::MAX.to_le_bytes()),
    ];
    refused_with(&huge, "larger than 2 GiB");
}

#[test]
fn entry_points_outside_of_code() {
    refused_with(&[(E_ENTRY, &0u64.to_le_bytes())], "entry point 0x0");
    // The first segment has constants and is not executable.
    refused_with(
        &[(E_ENTRY, &0x20_0000u64.to_le_bytes())],
        "entry point 0x200000",
    );
}

#[test]
fn writable_code() {
    refused_with(&[(P_FLAGS, &[7])], "WX=1");
    let file = fs::read(kernel("writable_code")).expect("the kernel can be read");
    refused(&file, "writable and executable");
}

/// Constants and code may share a page, but a writable segment and code may not.
#[test]
fn shared_pages_that_would_be_writable_code() {
    let code = PHDR + P_BYTES;
    let file = fs::read(kernel("release/siso_os")).expect("the kernel can be read");
    let vaddr = u64::from_le_bytes(file[code + 16..][..8].try_into().expect("eight bytes"));
    // Move the constants into the page of the code, and make them writable.
    let size = 0x10u64.to_le_bytes();
    let changes = [
        (P_FLAGS, &[6u8][..]),
        (P_VADDR, &(vaddr + 0x10).to_le_bytes()),
        (P_FILESZ, &size),
        (P_MEMSZ, &size),
        (code + 32, &size),
        (code + 40, &size),
        (E_ENTRY, &vaddr.to_le_bytes()),
    ];
    refused_with(&changes, "share a page");
}

/// The last page there is may be a kernel's.
#[test]
fn a_segment_up_to_the_last_address() {
    let page = 0u64.wrapping_sub(0x1000);
    let file = crate::common::kernel_that_resets(&[(5, page, 0x20_0000, 0x1000)]);
    assert!(Kernel::parse(&file, false).is_ok());
}

/// A segment without bytes in the file may have any offset.
#[test]
fn empty_segments_past_the_end_of_the_file() {
    let mut file = crate::common::kernel_that_resets(&[
        (5, 0x20_0000, 0x20_0000, 0x400),
        (6, 0x20_1000, 0x20_1000, 0x1000),
    ]);
    let header = PHDR + P_BYTES;
    file[header + 8..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
    file[header + 32..][..8].fill(0);
    assert!(Kernel::parse(&file, false).is_ok());
}

/// A kernel with more segments than the loader supports.
#[test]
fn too_many_segments() {
    let headers = 40usize;
    let mut elf =
        fs::read(kernel("release/siso_os")).expect("the kernel can be read")[..64].to_vec();
    elf[E_PHNUM] = headers as u8;
    for n in 0..headers as u64 {
        let fields = [
            0u64,
            0x20_0000 + n * 0x1000,
            0x20_0000 + n * 0x1000,
            0,
            1,
            0x1000,
        ];
        elf.extend(1u32.to_le_bytes());
        elf.extend(4u32.to_le_bytes());
        elf.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
    }
    refused(&elf, "40 segments");
}
