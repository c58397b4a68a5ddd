//! Every single bit that the loader reads, flipped, one at a time.
//!
//! Inside one guest: `tests/firmware/bad_bios.s` flips bit n in what INT 13h
//! returns and comes back for n + 1 where the loader gives up. QEMU starts
//! again only when a flip hangs the machine or boots the kernel. Takes the
//! first bits of each part only, unless `SISO_FULL` is set (`make matrix`).

mod common;

use common::bad_bios::BadBios;
use common::{Disk, Folder, image};
use siso_image::layout::*;
use siso_image::{LOADER, SECTOR};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// A kernel that resets the machine, which ends QEMU: so a boot is seen.
const KERNEL: &str = "triple_fault";
/// Longer than any try takes; then the machine counts as hanging.
const HANG: Duration = Duration::from_secs(3);

fn full() -> bool {
    env::var_os("SISO_FULL").is_some()
}

/// A field of stage 2's header, as the image builder filled it.
fn field(bytes: &[u8], address: u64) -> usize {
    let at = (address - STAGE1_BASE) as usize;
    u32::from_le_bytes(bytes[at..][..4].try_into().expect("four bytes")) as usize
}

/// What came of the flips: how often which words.
type Outcomes = BTreeMap<String, usize>;

/// Flips these bits of the image, one at a time.
fn flip(bits: &[u32]) -> Outcomes {
    let disk = Disk::of(KERNEL);
    let mut outcomes = Outcomes::new();
    let places = BadBios::table_bytes() / 4;
    for bits in bits.chunks(places) {
        let mut bios = BadBios::new(&[("loop_list", 1), ("loop_end", bits.len() as u32)]);
        bios.set_table(
            &bits
                .iter()
                .flat_map(|bit| bit.to_le_bytes())
                .collect::<Vec<u8>>(),
        );
        let mut next = 0;
        while next < bits.len() {
            bios.set("loop_first", next as u32);
            let (tried, ending) = run(&bios, &disk);
            next += tried.len() + usize::from(ending.is_some());
            for outcome in tried.into_iter().chain(ending) {
                *outcomes.entry(outcome).or_default() += 1;
            }
        }
    }
    outcomes
}

/// One start of QEMU: what came of each flip, and of the last one, if it was
/// not the loader that gave up.
fn run(bios: &BadBios, disk: &Disk) -> (Vec<String>, Option<String>) {
    let folder = Folder::new();
    let (mut machine, _bios) = bios.boot(disk, &folder, &[]);
    let report = || fs::read_to_string(folder.0.join("report")).unwrap_or_default();
    let (mut length, mut since) = (0, Instant::now());
    let ending = loop {
        let now = report();
        if now.ends_with('.') {
            break None;
        }
        if now.len() != length {
            (length, since) = (now.len(), Instant::now());
        }
        if machine.has_ended() {
            let booted = machine.serial().contains("about to fault");
            break Some(if booted { "boots" } else { "resets" }.to_string());
        }
        if since.elapsed() > HANG {
            break Some("hangs".to_string());
        }
        thread::sleep(Duration::from_millis(20));
    };
    let code = |line: &str| {
        let words = line.split_once(' ').map_or("", |(_, words)| words);
        let sentence = words.split(':').next().unwrap_or(words);
        sentence.trim_end().to_string()
    };
    let text = report();
    let tried = text.lines().filter(|line| *line != ".").map(code).collect();
    (tried, ending)
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
    let mut seed = 0x5eed_u64;
    let pick = |_| {
        seed = seed
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (sectors.start * SECTOR * 8) as u32 + ((seed >> 33) % bits) as u32
    };
    (0..count).map(pick).collect()
}

fn all_are(outcomes: &Outcomes, sentence: &str, count: usize) {
    println!("{count} flips: {outcomes:?}");
    assert_eq!(outcomes, &Outcomes::from([(sentence.to_string(), count)]));
}

#[test]
fn stage_2_and_its_header() {
    let bits = bits_of(1..LOADER.len() / SECTOR);
    all_are(&flip(&bits), "E2 stage 2 bad", bits.len());
}

#[test]
fn what_proves_the_kernel_and_its_headers() {
    let bytes = image(KERNEL);
    let segments = field(&bytes, KERNEL_SECTOR) + field(&bytes, ELF_SECTORS);
    let bits = bits_of(field(&bytes, PROOF_SECTOR)..segments);
    all_are(&flip(&bits), "E8 wrong data on the disk", bits.len());
}

#[test]
fn the_kernel() {
    let bytes = image(KERNEL);
    let first = field(&bytes, KERNEL_SECTOR) + field(&bytes, ELF_SECTORS);
    let end = field(&bytes, KERNEL_SECTOR) + field(&bytes, KERNEL_LEFT);
    let bits = sample_of(first..end, if full() { 2000 } else { 100 });
    all_are(&flip(&bits), "E8 wrong data on the disk", bits.len());
}

/// Nobody proves stage 1: it is counted what comes of a flip there. Whatever
/// runs then, it must not be a kernel that was not proved.
#[test]
fn stage_1() {
    let bits = sample_of(0..1, if full() { 2000 } else { 24 });
    let outcomes = flip(&bits);
    println!("{} flips: {outcomes:?}", bits.len());
    assert_eq!(outcomes.values().sum::<usize>(), bits.len());
}
