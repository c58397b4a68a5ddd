//! A boot sector that is all the student's: one file, one sector.

use crate::guest::Subject;
use siso_book::tools::{binutil, path};
use siso_image::SECTOR;
use siso_image::layout::STAGE1_BASE;
use std::fs;
use std::path::Path;

/// What the BIOS looks for at the end of a sector.
const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// The smallest disk that every BIOS boots: a MiB.
const DISK: usize = 1 << 20;

/// Assembles and links a file of a folder; or says why it is no boot sector.
pub fn build(work: &Path, file: &str) -> Result<Subject, String> {
    let (object, elf, bin) = (
        work.join("sector.o"),
        work.join("sector.elf"),
        work.join("sector.bin"),
    );
    let source = work.join(file);
    let arguments = ["-g", "--fatal-warnings", "-o", path(&object), path(&source)];
    binutil("as", &arguments)?;
    for (format, to) in [("elf64-x86-64", &elf), ("binary", &bin)] {
        let (format, at) = (
            format!("--oformat={format}"),
            format!("-Ttext={STAGE1_BASE:#x}"),
        );
        let arguments = ["-n", "-z", "noexecstack", "-e", "0", &format, &at, "-o"];
        let files = [path(to), path(&object)];
        binutil("ld", &[&arguments[..], &files].concat())?;
    }
    let read = |file: &Path| fs::read(file).map_err(|error| error.to_string());
    let mut image = read(&bin)?;
    if image.len() != SECTOR {
        return Err(format!(
            "it has {} bytes, and a sector {SECTOR}",
            image.len()
        ));
    }
    if !image.ends_with(&SIGNATURE) {
        return Err("its last two bytes are not 0x55 and 0xaa, so no BIOS starts it".into());
    }
    image.resize(DISK, 0);
    Ok(Subject {
        image,
        elf: read(&elf)?,
        routine: None,
        exits: Vec::new(),
    })
}
