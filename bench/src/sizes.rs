//! Sizes in bytes: of the loader's source files, on the disk, and in memory.

use crate::boots::{Contender, SIZES, median_run};
use crate::text::{count, exact, size, table};
use crate::tools;
use siso_image::elf::Kernel;
use siso_image::image::{Image, Options};
use siso_image::layout::*;
use siso_image::manifest::Manifest;
use siso_image::qemu::{self, Machine};
use siso_image::{LOADER, LOADER_ELF};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The address of the disk signature, which limits stage 1.
const STAGE1_LIMIT: u64 = STAGE1_BASE + 0x1b8;

/// The source file of each address in the loader.
pub struct Sources(BTreeMap<u64, String>);

impl Sources {
    /// Gets the source files from the loader's ELF with `addr2line`.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let elf = folder.join("loader.elf");
        tools::write(&elf, LOADER_ELF)?;
        let addresses: Vec<u64> = (STAGE1_BASE..MESSAGES_BASE).collect();
        let listing = tools::run(
            Command::new("addr2line")
                .arg("-e")
                .arg(&elf)
                .args(addresses.iter().map(|address| format!("{address:#x}"))),
        )?;
        let file = |line: &str| {
            let path = line.rsplit_once(':')?.0;
            Some(path.rsplit('/').next()?.to_string())
        };
        let files = listing.lines().map(|line| match file(line) {
            Some(file) if file.ends_with(".s") => file,
            _ => String::new(), // data or padding
        });
        Ok(Sources(addresses.into_iter().zip(files).collect()))
    }

    fn of(&self, address: u64) -> &str {
        self.0.get(&address).map_or("", String::as_str)
    }

    /// A table of code bytes and executed instructions per file, in the order of
    /// execution.
    pub fn table(&self, ours: &Contender) -> String {
        let runs: Vec<_> = ours.boots.iter().map(median_run).collect();
        let mut files: Vec<&str> = Vec::new();
        for file in self.0.values().filter(|file| !file.is_empty()) {
            if !files.contains(&file.as_str()) {
                files.push(file);
            }
        }
        let mut rows = Vec::new();
        for &file in &files {
            let bytes = self.0.values().filter(|name| *name == file).count();
            let mut row = vec![format!("`{file}`"), exact(bytes as u64)];
            for run in &runs {
                let spent = run.at.iter().filter(|&(&at, _)| self.of(at) == file);
                row.push(count(spent.map(|(_, own)| own).sum()));
            }
            rows.push(row);
        }
        let code: usize = self.0.values().filter(|name| !name.is_empty()).count();
        let mut row = vec!["all".into(), exact(code as u64)];
        row.extend(runs.iter().map(|run| count(run.own)));
        rows.push(row);
        let sizes = SIZES.map(size);
        let mut head = vec!["own instructions in", "bytes of code"];
        head.extend(sizes.iter().map(String::as_str));
        table(&head, &rows)
    }
}

/// A table of sizes on the disk: the loader, and two kernels with their images.
pub fn disk(kernels: [(&str, &Path); 2]) -> Result<String, String> {
    let row = |what: &str, bytes: u64, free: Option<u64>| {
        let free = free.map_or(String::new(), exact);
        vec![what.into(), exact(bytes), free]
    };
    let stage1 = STAGE1_END - STAGE1_BASE;
    let messages = MESSAGES_END - MESSAGES_BASE;
    let stage2 = MESSAGES_END - STAGE2_BASE;
    let loader = LOADER.len() as u64;
    let mut rows = vec![
        row(
            "stage 1, code and messages",
            stage1,
            Some(STAGE1_LIMIT - STAGE1_END),
        ),
        row("stage 2, code", stage2 - messages, None),
        row(
            "stage 2, messages",
            messages,
            Some(LOADER_END - MESSAGES_END),
        ),
        row(
            "both, in whole sectors",
            loader,
            Some(LOADER_BYTES - loader),
        ),
    ];
    for (name, path) in kernels {
        let file = tools::read(path)?;
        let kernel = Kernel::parse(&file, false).map_err(|error| error.to_string())?;
        let image = Image::new(&kernel, &Manifest::default(), &Options::default());
        let image = image.map_err(|error| error.to_string())?;
        let read = image.used_sectors * SECTOR_BYTES as usize;
        rows.push(row(&format!("{name}: ELF file"), file.len() as u64, None));
        rows.push(row("its image, the part that is read", read as u64, None));
        let padded = image.bytes.len() as u64;
        rows.push(row("its image, padded", padded, None));
    }
    Ok(table(&["what", "bytes", "free"], &rows))
}

/// A table of the loader's memory below 1 MiB.
pub fn low_memory() -> String {
    let rows = [
        (
            "memory regions as the BIOS reports them",
            REGIONS_BASE,
            REGIONS_END,
        ),
        (
            "the memory map: sorted, without overlaps",
            MAP_BASE,
            MAP_LIMIT,
        ),
        ("the kernel's ELF headers", ELF_BASE, ELF_END),
        ("stack", STACK_BOTTOM, STACK_TOP),
        ("both stages", STAGE1_BASE, STAGE2_END),
        ("variables", VARIABLES_BASE, VARIABLES_END),
        ("a chunk of sectors", CHUNK_BASE, CHUNK_END),
        (
            "a block of the checksum table",
            CHECKSUMS_BASE,
            CHECKSUMS_END,
        ),
        (
            "the loader's own page tables",
            IDENTITY_PML4,
            LOW_MEMORY_END,
        ),
    ];
    let mut total = 0;
    let mut lines: Vec<Vec<String>> = rows
        .iter()
        .map(|&(what, from, to)| {
            total += to - from;
            let range = format!("{from:#x} - {:#x}", to - 1);
            vec![what.into(), range, exact(to - from)]
        })
        .collect();
    lines.push(vec!["all".into(), String::new(), exact(total)]);
    table(&["used below 1 MiB", "addresses", "bytes"], &lines)
}

/// A table of the memory marked as in use when a kernel of 8 KiB starts, from its
/// boot info.
pub fn marked(disk: &Path) -> Result<String, String> {
    let about = |error: std::io::Error| format!("{}: {error}", disk.display());
    let mut arguments = qemu::disk(disk).to_vec();
    arguments.extend(["-m".into(), "512".into()]);
    let mut machine = Machine::start(&arguments).map_err(about)?;
    machine
        .wait_for_halt(Duration::from_secs(120))
        .map_err(|failure| failure.to_string())?;
    let info = machine.register("RDI").map_err(about)?;
    let bytes = machine
        .virtual_memory(info, INFO_END as usize)
        .map_err(about)?;
    let number = |at: u64| {
        let bytes = &bytes[at as usize..][..8];
        bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
    };
    let mut rows = Vec::new();
    for n in 0..number(INFO_COUNT) {
        let at = n * INFO_REGION_BYTES;
        let (from, to) = (number(at) * PAGE_BYTES, number(at + 8) * PAGE_BYTES);
        let kind = match number(at + 16) & 0xffff_ffff {
            KIND_KERNEL => "kernel",
            KIND_STACK => "kernel's stack",
            KIND_PAGE_TABLE => "page tables",
            KIND_LOADER => "boot loader: the switch to long mode, the descriptors",
            KIND_FRAME_ZERO => "frame zero: the BIOS's data",
            KIND_BOOT_INFO => "boot info",
            _ => continue,
        };
        let range = format!("{from:#x} - {:#x}", to - 1);
        rows.push(vec![kind.into(), range, exact(to - from)]);
    }
    Ok(table(
        &["marked in use at entry", "addresses", "bytes"],
        &rows,
    ))
}
