//! Fuzzes the ELF headers that the image builder reads, and those that stage 2
//! reads, bypassing the builder.
//!
//! Each mutant is a valid kernel with a few fields set to values at or beyond a
//! limit, from a seeded generator.

use crate::common::bad_bios::BadBios;
use crate::common::kernel_rules::{assert_follows_rules, assert_one_line};
use crate::common::looping::{BOOTS, NO_HANG, Outcomes, full, run};
use crate::common::{Disk, Folder, Random, field, kernel, kernel_that_resets, plain, row};
use siso_image::elf::Kernel;
use siso_image::image::{Image, Options};
use siso_image::layout::*;
use siso_image::manifest::Manifest;
use siso_image::qemu::Machine;
use siso_image::{SECTOR, checksum};
use std::path::Path;
use std::{env, fs};

/// The address of the last segment, before mutation.
const LAST_SEGMENT: u64 = 0x20_2000;
const EHDR: usize = 64;
const PHDR: usize = 56;
/// Fields of the ELF header: offset and size in bytes.
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
        let other_field = |offset: usize| {
            u64::from_le_bytes(file[other + offset..][..8].try_into().expect("eight bytes"))
        };
        let new = match random.below(20) {
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
            13 => other_field(16)
                .wrapping_add(random.below(3))
                .wrapping_sub(1), // its p_vaddr
            14 => other_field(16)
                .wrapping_add(other_field(40))
                .wrapping_sub(random.below(2)), // and end
            15 => PT_COMMAND_LINE - 1 + random.below(4),
            16 | 17 => {
                let memory = MEMORY.map(|(_, end, _)| end);
                let mapped = [PML4_BOOT_INFO, PML4_PHYSICAL].map(|index| index * PML4_ENTRY_BYTES);
                let limits = [&memory[..], &mapped].concat();
                limits[random.below(limits.len() as u64) as usize] + random.below(7) * 0x1000
                    - 0x3000
                    - random.below(2)
            }
            _ => random.below(1 << 32) << 32 | random.below(1 << 32),
        };
        file[at..][..bytes].copy_from_slice(&new.to_le_bytes()[..bytes]);
    }
}

/// Changes some words of the dynamic section of a position-independent kernel, or
/// of what follows it.
fn mutate_relocations(file: &mut [u8], random: &mut Random) {
    let word = |file: &[u8], at: usize| {
        let word = file.get(at..at + 8).unwrap_or(&[0; 8]);
        u64::from_le_bytes(word.try_into().expect("eight bytes"))
    };
    let headers = (0..8).map(|n| EHDR + n * PHDR);
    let dynamic = headers.into_iter().find(|&at| file[at] == 2);
    let Some(dynamic) = dynamic.map(|at| word(file, at + 8)) else {
        return; // its program header was changed
    };
    for _ in 0..1 + random.below(3) {
        let at = dynamic.wrapping_add(random.below(64) * 8) as usize;
        let values = [0, u64::MAX, 35, 1 << random.below(64), random.below(0x5000)];
        let value = values[random.below(values.len() as u64) as usize];
        if at < file.len() - 8 {
            file[at..][..8].copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// The image builder either reports an error or returns a kernel that follows all
/// rules.
#[test]
fn the_image_builder() {
    let names = [
        "release/siso_os",
        "shared_page",
        "higher_half_no_at",
        "tls",
        "pie",
    ];
    let originals = names.map(|name| fs::read(kernel(name)).expect("the kernel can be read"));
    let mut random = Random(0xe1f);
    let (mut refused, mut built) = (0, 0);
    let seeds = env::var_os("SISO_SEEDS"); // for tools/fuzz
    for n in 0..20_000 {
        let mut file = originals[n % originals.len()].clone();
        mutate(&mut file, &mut random);
        if names[n % names.len()] == "pie" {
            mutate_relocations(&mut file, &mut random);
        }
        if let Some(folder) = seeds.as_ref().filter(|_| n % 50 == 0) {
            fs::write(Path::new(folder).join(n.to_string()), &file).expect("a seed is written");
        }
        match Kernel::parse(&file, false) {
            Err(error) => {
                assert_one_line(&error.to_string());
                refused += 1;
            }
            Ok(kernel) => {
                assert_follows_rules(&kernel);
                let manifest = Manifest::default();
                match Image::new(&kernel, &manifest, &Options::default()) {
                    Err(error) => {
                        assert_one_line(&error.to_string());
                        refused += 1;
                    }
                    Ok(image) => {
                        assert!(image.used_sectors * SECTOR <= image.bytes.len());
                        built += 1;
                    }
                }
            }
        }
    }
    let seen = format!("{refused} refused, {built} images");
    row(
        "20000 mutated ELF files to the image builder",
        "an error, or a valid image",
        &seen,
        "-",
    );
    assert!(
        refused > 10_000 && built > 100,
        "{refused} refused, {built} built"
    );
}

/// The memory map that the BIOS reports to stage 2: first address, end
/// (exclusive), type. The loader may use only memory of type 1.
const MEMORY: [(u64, u64, u32); 6] = [
    (0, 0x9_f000, 1),
    (0x10_0000, 0x18_0000, 1),
    (0x18_0000, 0x1c_0000, 2),
    (0x1c_0000, 0x80_0000, 1),
    (0x80_0000, 0x90_0000, 3),
    (0x90_0000, 0x400_0000, 1),
];
/// The memory that must not change. `bad_bios.s` fills the part in low memory,
/// QEMU the rest.
const LOW_PROTECTED: [(u64, u64); 2] = [(0x600, 0x1000), (0x3_6000, 0x8_0000)];
const HIGH_PROTECTED: [(u64, u64); 3] = [
    (0x18_0000, 0x1c_0000),
    (0x80_0000, 0x90_0000),
    (0x400_0000, 0x440_0000),
];
const FILL: u8 = 0xa5;

/// The arguments with which QEMU fills the protected memory above 1 MiB.
fn fill_arguments(folder: &Folder) -> Vec<String> {
    let mut arguments = Vec::new();
    for (first, end) in HIGH_PROTECTED {
        let file = folder.0.join(format!("{first:x}"));
        fs::write(&file, vec![FILL; (end - first) as usize]).expect("a file can be written");
        let device = format!(
            "loader,file={},addr={first:#x},force-raw=on",
            file.display()
        );
        arguments.extend(["-device".into(), device]);
    }
    arguments
}

fn assert_unchanged(machine: &mut Machine) {
    for (first, end) in LOW_PROTECTED.into_iter().chain(HIGH_PROTECTED) {
        let bytes = machine.memory(first, (end - first) as usize);
        let bytes = bytes.expect("QEMU shows its memory");
        let changed = bytes.iter().position(|&byte| byte != FILL);
        let address = changed.map(|offset| first + offset as u64);
        assert_eq!(address, None, "the loader wrote there");
    }
}

/// Mutated headers of a valid kernel, for stage 2 only.
struct Mutants {
    image: Vec<u8>,
    bios: BadBios,
    count: usize,
}

impl Mutants {
    fn new() -> Self {
        let file = kernel_that_resets(&[
            (4, 0x20_0000, 0x20_0000, 0x300),
            (5, 0x20_1000, 0x20_1000, 0x400),
            (6, LAST_SEGMENT, LAST_SEGMENT, 0x5000),
        ]);
        let image = plain(&Kernel::parse(&file, false).expect("the kernel is valid")).bytes;
        let mut bios = BadBios::new(&[
            ("mutants", 1),
            ("mutant_checksums", field(&image, CHECKSUMS_SECTOR) as u32),
            ("mutant_elf", field(&image, KERNEL_SECTOR) as u32),
        ]);
        let entry = |(first, end, kind)| (first, end - first, kind, 1);
        bios.set_memory_map(&MEMORY.map(entry));
        Mutants {
            image,
            bios,
            count: 0,
        }
    }

    /// Adds a mutant: changes the headers, and corrects all checksums.
    fn add(&mut self, change: impl FnOnce(&mut [u8])) {
        let sector = |number: usize| number * SECTOR..(number + 1) * SECTOR;
        let (table, elf) = (
            field(&self.image, CHECKSUMS_SECTOR),
            field(&self.image, KERNEL_SECTOR),
        );
        let mut image = self.image[..(elf + 1) * SECTOR].to_vec();
        let mut put = |at: usize, bytes: &[u8]| image[at..][..bytes.len()].copy_from_slice(bytes);
        let mut headers = self.image[sector(elf)].to_vec();
        change(&mut headers);
        put(elf * SECTOR, &headers);
        let headers = checksum::chunk(&headers, elf as u32).to_le_bytes();
        put(table * SECTOR, &headers);
        let block = checksum::chunk(&image[sector(table)], table as u32).to_le_bytes();
        let at = (CHECKSUMS_CHECKSUM - STAGE1_BASE) as usize;
        image[at..][..8].copy_from_slice(&block);
        let stage2 = checksum::stage2(&image[SECTOR..table * SECTOR]).to_le_bytes();
        let at = (STAGE2_CHECKSUM - STAGE1_BASE) as usize;
        image[at..][..4].copy_from_slice(&stage2);
        for number in [0, 1, table, elf] {
            self.bios.append(&image[sector(number)]);
        }
        self.count += 1;
    }

    /// Boots all mutants; none may change protected memory.
    fn run(mut self) -> Outcomes {
        let folder = Folder::new();
        let fill = fill_arguments(&folder);
        let fill: Vec<&str> = fill.iter().map(String::as_str).collect();
        let disk = Disk::new(&self.image);
        let mut outcomes = Outcomes::new();
        run(
            &mut self.bios,
            &disk,
            self.count,
            NO_HANG,
            &mut outcomes,
            &fill,
            assert_unchanged,
        );
        outcomes
    }
}

/// Stage 2 either starts the kernel or reports an error. It never hangs, never
/// faults, and never writes to protected memory.
#[test]
fn stage_2() {
    let count = if full() { 20_000 } else { 400 };
    let mut random = Random(0x57a6e2);
    let mut mutants = Mutants::new();
    for _ in 0..count {
        mutants.add(|headers| mutate(headers, &mut random));
    }
    let outcomes = mutants.run();
    let what = format!("{count} mutated ELF headers to stage 2");
    let seen = format!("{outcomes:?}, protected memory unchanged");
    row(&what, "E9 to E13, or it boots", &seen, "QEMU");
    let codes = ["E9 ", "E10 ", "E11 ", "E12 ", "E13 "];
    for outcome in outcomes.keys() {
        let is_error = codes.iter().any(|code| outcome.starts_with(code));
        assert!(is_error || outcome == BOOTS, "{outcomes:?}");
    }
    for code in codes {
        assert!(
            outcomes.keys().any(|outcome| outcome.starts_with(code)),
            "no {code}: {outcomes:?}"
        );
    }
}

/// A segment at either end of the boot info, the stack and physical memory is
/// refused; a segment adjacent to them is not.
#[test]
fn stage_2_and_segments_in_reserved_ranges() {
    const VADDR: usize = EHDR + 2 * PHDR + 16;
    let info = PML4_BOOT_INFO * PML4_ENTRY_BYTES;
    let stack_end = info + STACK_OFFSET + DEFAULT_STACK_PAGES * PAGE_BYTES;
    let physical = PML4_PHYSICAL * PML4_ENTRY_BYTES;
    let physical_end = physical + FRAMES_MAX * PAGE_BYTES;
    let adjacent = [info - 0x5000, stack_end, physical - 0x5000, physical_end];
    let mut inside = vec![info - 0x4000, info, info + PAGE_BYTES, info + STACK_OFFSET];
    inside.extend([stack_end - PAGE_BYTES, physical - 0x4000, physical]);
    inside.extend([physical + (2 << 20), physical_end - PAGE_BYTES]);

    for (addresses, expected) in [
        (&inside[..], "E10 a kernel segment cannot be loaded"),
        (&adjacent, BOOTS),
    ] {
        let mut mutants = Mutants::new();
        for address in addresses {
            mutants.add(|headers| headers[VADDR..][..8].copy_from_slice(&address.to_le_bytes()));
        }
        let all = Outcomes::from([(expected.to_string(), addresses.len())]);
        assert_eq!(mutants.run(), all);
    }
}

/// Changes eight bytes, or fewer at the end, of the headers.
fn put(headers: &mut [u8], at: usize, value: u64, bytes: usize) {
    headers[at..][..bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
}

/// Headers that random changes rarely make.
#[test]
fn stage_2_and_rare_headers() {
    // Offsets in the ELF header, and in a program header.
    const CLASS: usize = 4;
    const KIND: usize = 16;
    const MACHINE: usize = 18;
    const ENTRY: usize = 24;
    const HEADERS: usize = 32;
    const SIZE: usize = 54;
    const COUNT: usize = 56;
    const TYPE: usize = EHDR;
    const FLAGS: usize = EHDR + 4;
    const OFFSET: usize = EHDR + 8;
    const VADDR: usize = EHDR + 16;
    const PADDR: usize = EHDR + 24;
    const FILE_BYTES: usize = EHDR + 32;
    const BYTES: usize = EHDR + 40;
    const PT_TLS: u64 = 7;
    let bad = "E10 a kernel segment cannot be loaded";
    let no_elf = "E9 the kernel is not an x86-64 ELF executable";
    type Change = fn(&mut [u8]);
    let no_entry = "E11 the entry point is not executable";
    let cases: [(&str, Change, &str); 19] = [
        (
            "a shared object",
            |headers| put(headers, KIND, 3, 2),
            no_elf,
        ),
        (
            "a program for another processor",
            |headers| put(headers, MACHINE, 3, 2),
            no_elf,
        ),
        ("a 32-bit file", |headers| put(headers, CLASS, 1, 1), no_elf),
        (
            "program headers in another place",
            |headers| put(headers, HEADERS, EHDR as u64 + 8, 8),
            no_elf,
        ),
        (
            "program headers of another size",
            |headers| put(headers, SIZE, PHDR as u64 + 1, 2),
            no_elf,
        ),
        (
            "an entry point in a segment that is not executable",
            |headers| put(headers, ENTRY, 0x20_0010, 8),
            no_entry,
        ),
        (
            "an entry point right after a segment",
            |headers| put(headers, ENTRY, 0x20_1400, 8),
            no_entry,
        ),
        (
            "a segment that is writable and executable",
            |headers| put(headers, FLAGS + PHDR, 7, 4),
            "E12 a kernel page is writable and executable",
        ),
        (
            "a segment of 8 GiB",
            |headers| put(headers, BYTES + 2 * PHDR, 8 << 30, 8),
            bad,
        ),
        (
            "a segment that is not right after the one before",
            |headers| put(headers, OFFSET + PHDR, 9 * SECTOR as u64, 8),
            bad,
        ),
        (
            "a segment that goes on at address 0",
            |headers| put(headers, VADDR + 2 * PHDR, 0u64.wrapping_sub(0x1000), 8),
            bad,
        ),
        (
            "a segment at a non-canonical address",
            |headers| put(headers, VADDR + 2 * PHDR, 1 << 47, 8),
            bad,
        ),
        (
            "two pages that a segment shares with one before and one after it",
            |headers| {
                for (n, flags) in [6, 4, 5].into_iter().enumerate() {
                    put(headers, FLAGS + n * PHDR, flags, 4);
                }
                for (n, address) in [(1, 0x20_0800), (2, 0x20_1800)] {
                    put(headers, VADDR + n * PHDR, address, 8);
                    put(headers, PADDR + n * PHDR, address, 8);
                }
                put(headers, BYTES + PHDR, 0x1000, 8);
                put(headers, ENTRY, 0x20_1800, 8);
            },
            BOOTS,
        ),
        (
            "more program headers than the sectors hold",
            |headers| put(headers, COUNT, 9, 2),
            no_elf,
        ),
        (
            "a module before a segment",
            |headers| {
                put(headers, TYPE, PT_COMMAND_LINE, 4);
                // The segments come first in the file, as they must.
                for (n, sector) in [5, 1, 3].into_iter().enumerate() {
                    put(headers, OFFSET + n * PHDR, sector * SECTOR as u64, 8);
                }
            },
            bad,
        ),
        (
            "thread-local storage before the segments",
            |headers| {
                put(headers, TYPE, PT_TLS, 4);
                put(headers, OFFSET + PHDR, SECTOR as u64, 8);
                put(headers, OFFSET + 2 * PHDR, 3 * SECTOR as u64, 8);
                put(headers, FILE_BYTES + 2 * PHDR, 4 * SECTOR as u64, 8);
            },
            BOOTS,
        ),
        (
            "segments that share a page, but no frame",
            |headers| {
                put(headers, VADDR + PHDR, 0x20_0400, 8);
                put(headers, PADDR + PHDR, 0x30_0400, 8);
                put(headers, ENTRY, 0x20_0400, 8);
            },
            BOOTS,
        ),
        (
            "a segment from below 4 GiB to above",
            |headers| put(headers, PADDR + 2 * PHDR, FOUR_GIB - 0x1000, 8),
            BOOTS,
        ),
        (
            "a segment above 4 GiB",
            |headers| put(headers, PADDR + 2 * PHDR, FOUR_GIB, 8),
            BOOTS,
        ),
    ];
    for (name, change, expected) in cases {
        let mut mutants = Mutants::new();
        mutants.add(change);
        let all = Outcomes::from([(expected.to_string(), 1)]);
        assert_eq!(mutants.run(), all, "{name}");
        row(name, expected, expected, "QEMU");
    }
}
