//! ELF headers that nobody made in good faith, given to the image builder and,
//! past it, to stage 2.
//!
//! Mutants of a good kernel: a few fields each, set to what is next to a limit
//! or beyond all of them, from a seeded generator.

mod common;

use common::bad_bios::BadBios;
use common::looping::{BOOTS, NO_HANG, Outcomes, full, run};
use common::{Disk, Random, field, kernel, kernel_that_resets, row};
use siso_image::elf::Kernel;
use siso_image::image::Image;
use siso_image::layout::*;
use siso_image::{SECTOR, sum};
use std::fs;

const EHDR: usize = 64;
const PHDR: usize = 56;
/// Fields of the ELF header: offset, bytes.
const FILE_FIELDS: [(usize, usize); 12] = [
    (0, 4),
    (4, 1),
    (5, 1),
    (6, 1),
    (16, 2),
    (18, 2),
    (24, 8),
    (32, 8),
    (48, 4),
    (54, 2),
    (56, 2),
    (58, 2),
];
/// Fields of a program header.
const SEGMENT_FIELDS: [(usize, usize); 8] = [
    (0, 4),
    (4, 4),
    (8, 8),
    (16, 8),
    (24, 8),
    (32, 8),
    (40, 8),
    (48, 8),
];

/// Changes one to four fields of the headers of an ELF file.
fn mutate(file: &mut [u8], random: &mut Random) {
    let segments = u16::from_le_bytes([file[56], file[57]]) as u64;
    for _ in 0..1 + random.below(4) {
        let (at, bytes) = if random.below(4) == 0 {
            FILE_FIELDS[random.below(FILE_FIELDS.len() as u64) as usize]
        } else {
            let header = EHDR + random.below(segments) as usize * PHDR;
            let (offset, bytes) = SEGMENT_FIELDS[random.below(8) as usize];
            (header + offset, bytes)
        };
        let mut value = [0; 8];
        value[..bytes].copy_from_slice(&file[at..][..bytes]);
        let old = u64::from_le_bytes(value);
        let other = EHDR + random.below(segments) as usize * PHDR;
        let theirs = |offset: usize| {
            u64::from_le_bytes(file[other + offset..][..8].try_into().expect("eight bytes"))
        };
        let new = match random.below(16) {
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX - random.below(0x3000),
            3 => 1 << random.below(64),
            4 => old ^ 1 << random.below(bytes as u64 * 8),
            5 => old.wrapping_add(1),
            6 => old.wrapping_sub(1),
            7 => old.wrapping_add(random.below(0x3000)),
            8 => random.below(ONE_MIB),
            9 => ONE_MIB - 1 + random.below(3),
            10 => (1 << 47) - 1 + random.below(3),
            11 => (1 << 31) - 1 + random.below(3),
            12 => (1 << 32) - 1 + random.below(3),
            13 => theirs(16).wrapping_add(random.below(3)).wrapping_sub(1), // its p_vaddr
            14 => theirs(16)
                .wrapping_add(theirs(40))
                .wrapping_sub(random.below(2)), // and end
            _ => random.below(1 << 32) << 32 | random.below(1 << 32),
        };
        file[at..][..bytes].copy_from_slice(&new.to_le_bytes()[..bytes]);
    }
}

/// The image builder says what is wrong, or makes a kernel of it that keeps
/// all the rules.
#[test]
fn the_image_builder() {
    let names = ["release/siso_os", "shared_page", "higher_half_no_at", "tls"];
    let originals = names.map(|name| fs::read(kernel(name)).expect("the kernel can be read"));
    let mut random = Random(0xe1f);
    let (mut refused, mut made) = (0, 0);
    for n in 0..20_000 {
        let mut file = originals[n % originals.len()].clone();
        mutate(&mut file, &mut random);
        match Kernel::parse(&file, false) {
            Err(error) => {
                let said = error.to_string();
                assert!(!said.is_empty() && said.lines().count() == 1, "{said}");
                refused += 1;
            }
            Ok(kernel) => {
                rules_are_kept(&kernel);
                let image = Image::new(&kernel);
                assert!(image.used_sectors * SECTOR <= image.bytes.len());
                made += 1;
            }
        }
    }
    let seen = format!("{refused} refused, {made} images");
    row(
        "20000 mutated ELF files to the image builder",
        "a sentence, or a sound image",
        &seen,
        "-",
    );
    assert!(
        refused > 10_000 && made > 100,
        "{refused} refused, {made} made"
    );
}

/// The rules of docs/protocol.md, said once more in other words.
fn rules_are_kept(kernel: &Kernel) {
    let mut pages = std::collections::HashMap::<u64, u32>::new();
    let mut behind = u128::from(ONE_MIB);
    let mut entry = false;
    for segment in &kernel.segments {
        let header = &segment.header;
        let (first, size) = (u128::from(header.vaddr), u128::from(header.memsz));
        assert!(
            first >= behind && size > 0 && size <= 1 << 31,
            "{header:x?}"
        );
        behind = first + size;
        let lower = behind <= 1 << 47;
        let upper = first >= (1 << 64) - (1 << 47) && behind <= 1 << 64;
        assert!(lower || upper, "{header:x?}");
        assert_eq!(segment.bytes.len() as u64, header.filesz);
        // The first and the last page are those that may be shared.
        for page in [header.vaddr / 4096, ((behind - 1) / 4096) as u64] {
            let rights = pages.entry(page).or_default();
            *rights |= header.flags & 3;
            assert_ne!(*rights, 3, "{header:x?}");
        }
        entry |= header.flags & 1 != 0
            && u128::from(kernel.entry) >= first
            && u128::from(kernel.entry) < first + u128::from(header.filesz);
    }
    assert!(entry);
    let (reduced, _) = kernel.reduced();
    let again = Kernel::parse(&reduced, false).expect("it can be read again");
    assert_eq!(again.reduced().0, reduced);
}

/// Mutates the headers on the disk, and makes all sums right again: stage 2
/// starts the kernel or says why not; it never hangs, and never faults.
#[test]
fn stage_2() {
    let count = if full() { 20_000 } else { 400 };
    let file = kernel_that_resets(&[
        (4, 0x20_0000, 0x20_0000, 0x300),
        (5, 0x20_1000, 0x20_1000, 0x400),
        (6, 0x20_2000, 0x20_2000, 0x5000),
    ]);
    let image = Image::new(&Kernel::parse(&file, false).expect("it is a good kernel")).bytes;
    let (proof, elf) = (field(&image, PROOF_SECTOR), field(&image, KERNEL_SECTOR));
    let sector = |number: usize| number * SECTOR..(number + 1) * SECTOR;

    let mut random = Random(0x57a6e2);
    let mut bios = BadBios::new(&[
        ("mutants", 1),
        ("mutant_proof", proof as u32),
        ("mutant_elf", elf as u32),
    ]);
    for _ in 0..count {
        let mut image = image[..(elf + 1) * SECTOR].to_vec();
        mutate(&mut image[sector(elf)], &mut random);
        let sum = sum::run(&image[sector(elf)], elf as u32);
        image[sector(proof)][..8].copy_from_slice(&sum.to_le_bytes());
        let sum = sum::run(&image[sector(proof)], proof as u32);
        let at = (PROOF_SUM - STAGE1_BASE) as usize;
        image[at..][..8].copy_from_slice(&sum.to_le_bytes());
        let sum = sum::stage2(&image[SECTOR..proof * SECTOR]);
        let at = (STAGE2_SUM - STAGE1_BASE) as usize;
        image[at..][..4].copy_from_slice(&sum.to_le_bytes());
        for number in [0, 1, proof, elf] {
            bios.append(&image[sector(number)]);
        }
    }
    let mut outcomes = Outcomes::new();
    run(&mut bios, &Disk::new(&image), count, NO_HANG, &mut outcomes);
    let what = format!("{count} mutated ELF headers to stage 2");
    row(
        &what,
        "E9 to E13, or it boots",
        &format!("{outcomes:?}"),
        "QEMU",
    );
    let sentences = ["E9 ", "E10 ", "E11 ", "E12 ", "E13 "];
    for outcome in outcomes.keys() {
        let said = sentences.iter().any(|code| outcome.starts_with(code));
        assert!(said || outcome == BOOTS, "{outcomes:?}");
    }
    for code in sentences {
        assert!(
            outcomes.keys().any(|outcome| outcome.starts_with(code)),
            "no {code}: {outcomes:?}"
        );
    }
}
