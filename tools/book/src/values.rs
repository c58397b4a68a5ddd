//! The figures that the text shows: `{{NAME}}`, `{{NAME:x}}` and so on.
//!
//! All are from the build: the loader's symbols and `layout.inc` (by the linker), the
//! image of this project's kernel, the tables that `make bench` wrote into
//! `docs/speed.md`, and counts of what is in the tree.

use crate::source::{Source, quoted_files};
use crate::tools::{binutil, loader_elf, path};
use crate::{chapters, image_of, read};
use siso_image::layout::*;
use siso_image::qemu::Scratch;
use siso_image::{LOADER, SECTOR};
use std::collections::BTreeMap;
use std::path::Path;

/// Figures by their names.
pub struct Values(BTreeMap<String, u64>);

impl Values {
    /// The figures of this build, with a kernel's ELF file.
    pub fn new(kernel: &Path) -> Result<Values, String> {
        let mut values = Values(BTreeMap::new());
        let scratch = Scratch::new().map_err(|error| error.to_string())?;
        let elf = loader_elf(scratch.path())?;
        for line in binutil("nm", &["--extern-only", path(&elf)])?.lines() {
            let mut words = line.split(' ');
            if let (Some(value), Some(_), Some(name)) = (words.next(), words.next(), words.next())
                && let Ok(value) = u64::from_str_radix(value, 16)
            {
                values.put(&name.to_uppercase(), value);
            }
        }
        values.sizes();
        values.of_image(kernel)?;
        values.of_bench()?;
        values.counts()?;
        Ok(values)
    }

    fn put(&mut self, name: &str, value: u64) {
        let before = self.0.insert(name.into(), value);
        assert!(before.is_none(), "{name} has two values");
    }

    fn sizes(&mut self) {
        self.put("STAGE1_BYTES", STAGE1_END - STAGE1_BASE);
        self.put("STAGE1_FREE", STAGE1_BASE + DISK_SIGNATURE - STAGE1_END);
        self.put("STAGE2_BYTES", MESSAGES_END - STAGE2_BASE);
        self.put("MESSAGES_BYTES", MESSAGES_END - MESSAGES_BASE);
        self.put("LOADER_ON_DISK", LOADER.len() as u64);
        self.put("LOADER_SECTORS", (LOADER.len() / SECTOR) as u64);
        self.put("CHUNK_BYTES", CHUNK_SECTORS * SECTOR_BYTES);
        self.put("STACK_BYTES", STACK_TOP - STACK_BOTTOM);
        self.put("GDT_OFFSET", GDT % PAGE_BYTES);
        self.put("SWITCH_ADDRESS", SWITCH_PAGE * PAGE_BYTES);
        self.put("INFO_ADDRESS_DEFAULT", PML4_BOOT_INFO * PML4_ENTRY_BYTES);
        self.put(
            "STACK_DEFAULT",
            PML4_BOOT_INFO * PML4_ENTRY_BYTES + STACK_OFFSET,
        );
        self.put("PHYSICAL_DEFAULT", PML4_PHYSICAL * PML4_ENTRY_BYTES);
        self.put("DEFAULT_STACK_BYTES", DEFAULT_STACK_PAGES * PAGE_BYTES);
        self.put("CHUNK_SEGMENT", CHUNK_BASE >> 4);
        self.put("E820_BYTES_MAX", E820_END - E820_BASE);
        self.put(
            "BLOCK_KERNEL_MIB",
            (BLOCK_CHECKSUMS * CHUNK_SECTORS * SECTOR_BYTES) >> 20,
        );
    }

    /// Figures of the image that `make image` builds.
    fn of_image(&mut self, kernel: &Path) -> Result<(), String> {
        let elf = std::fs::read(kernel)
            .map_err(|error| format!("{}: {error} (`make kernel`)", kernel.display()))?;
        let image = image_of(kernel)?;
        let field = |address: u64, bytes: usize| {
            let at = (address - STAGE1_BASE) as usize;
            let mut number = [0; 8];
            number[..bytes].copy_from_slice(&image.bytes[at..][..bytes]);
            u64::from_le_bytes(number)
        };
        self.put("IMAGE_TABLE_SECTOR", field(CHECKSUMS_SECTOR, 4));
        self.put("IMAGE_TABLE_SECTORS", field(CHECKSUMS_SECTORS, 4));
        self.put("IMAGE_KERNEL_SECTOR", field(KERNEL_SECTOR, 4));
        self.put("IMAGE_KERNEL_SECTORS", field(KERNEL_SECTORS, 4));
        self.put("IMAGE_ELF_SECTORS", field(ELF_SECTORS, 4));
        self.put("IMAGE_USED_SECTORS", image.used_sectors as u64);
        self.put("IMAGE_CUT", (image.used_sectors * SECTOR) as u64);
        self.put("IMAGE_MIB", (image.bytes.len() >> 20) as u64);
        self.put("IMAGE_STAGE2_CHECKSUM", field(STAGE2_CHECKSUM, 4));
        self.put("KERNEL_FILE", elf.len() as u64);
        let number = |at: usize, bytes: usize| {
            let mut number = [0; 8];
            number[..bytes].copy_from_slice(&elf[at..][..bytes]);
            u64::from_le_bytes(number)
        };
        let entry = number(24, 8);
        self.put("ENTRY", entry);
        for (name, shift) in [("PML4", 39), ("PDPT", 30), ("PD", 21), ("PT", 12)] {
            self.put(&format!("ENTRY_{name}"), entry >> shift & 0x1ff);
        }
        self.put("ENTRY_OFFSET", entry & 0xfff);
        let headers = number(32, 8) as usize;
        let loads = (0..number(56, 2) as usize)
            .map(|n| headers + n * 56)
            .filter(|&at| number(at, 4) == 1);
        let (mut segments, mut kernel_end) = (0, 0);
        for (n, at) in loads.enumerate() {
            for (name, offset) in [("OFFSET", 8), ("VADDR", 16), ("FILESZ", 32), ("MEMSZ", 40)] {
                self.put(&format!("SEGMENT{n}_{name}"), number(at + offset, 8));
            }
            let end = number(at + 16, 8) + number(at + 40, 8);
            self.put(&format!("SEGMENT{n}_END"), end);
            (segments, kernel_end) = (segments + 1, end);
        }
        self.put("KERNEL_SEGMENTS", segments);
        self.put("KERNEL_END", kernel_end);
        Ok(())
    }

    /// What `make bench DOCS=1` measured, from the tables in `docs/speed.md`.
    fn of_bench(&mut self) -> Result<(), String> {
        let page = read("docs/speed.md")?;
        let cell = |row: &str, column: usize| {
            let is_it = |line: &&str| line.starts_with(&format!("| {row} "));
            let line = page.lines().find(is_it);
            let line = line.ok_or_else(|| format!("docs/speed.md has no row '{row}'"))?;
            let text = line.split('|').nth(column).unwrap_or_default().trim();
            number(text).ok_or_else(|| format!("docs/speed.md: {row}: {text}"))
        };
        for (name, row) in [
            ("PEER_SISO", "siso_os "),
            ("PEER_09", "bootloader 0.9"),
            ("PEER_011", "bootloader 0.11"),
            ("PEER_LIMINE", "Limine"),
            ("PEER_GRUB", "GRUB"),
        ] {
            let is_it = |line: &&str| line.starts_with(&format!("| {row}"));
            let line = page.lines().find(is_it);
            let line = line.ok_or_else(|| format!("docs/speed.md has no row '{row}'"))?;
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            for (figure, column) in [("BYTES", 2), ("OWN", 3), ("OWN_64M", 6)] {
                let text = cells.get(column).copied().unwrap_or_default();
                let value = number(text).ok_or_else(|| format!("docs/speed.md: {text}"))?;
                self.put(&format!("{name}_{figure}"), value);
            }
        }
        self.put("OWN_INSTRUCTIONS", cell("8 KiB: own instructions", 2)?);
        self.put(
            "INSTRUCTIONS_PER_MIB",
            cell("additional own instructions per MiB", 2)?,
        );
        self.put("INT13_CALLS", cell("8 KiB: INT 13h calls", 2)?);
        for file in ["stage1", "paging", "map", "long", "chunk"] {
            let name = format!("INSTRUCTIONS_{}", file.to_uppercase());
            self.put(&name, cell(&format!("`{file}.s`"), 3)?);
        }
        Ok(())
    }

    fn counts(&mut self) -> Result<(), String> {
        let mut lines = 0;
        for file in quoted_files() {
            let source = Source::read(&file)?;
            lines += source.lines.iter().filter(|line| line.is_code).count();
        }
        let quotes = chapters::all()?
            .iter()
            .map(|page| page.quotes().len())
            .sum::<usize>();
        self.put("QUOTED_LINES", lines as u64);
        self.put("QUOTES", quotes as u64);
        let boot = quoted_files();
        let boot = boot.iter().filter(|file| file.ends_with(".s"));
        self.put("ASSEMBLY_FILES", boot.count() as u64);
        Ok(())
    }

    /// All names and figures, one a line.
    pub fn list(&self) -> String {
        let line = |(name, value): (&String, &u64)| format!("{name} = {value} = {value:#x}\n");
        self.0.iter().map(line).collect()
    }

    /// Replaces every `{{NAME}}` and `{{NAME:FORMAT}}` in a text. Formats: `x` is
    /// hexadecimal with 0x, `16` with 16 digits, `k` KiB, `m` MiB, `n` without commas.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            filled += before;
            let name = after.split("}}").next().unwrap_or_default();
            let is_mark = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.starts_with(is_mark) {
                filled += "{{";
                rest = after;
                continue;
            }
            filled += &self.show(name)?;
            rest = &after[name.len() + 2..];
        }
        Ok(filled + rest)
    }

    fn show(&self, mark: &str) -> Result<String, String> {
        let (name, format) = mark.split_once(':').unwrap_or((mark, ""));
        let value = self.0.get(name);
        let value = *value.ok_or_else(|| format!("there is no figure {name}"))?;
        Ok(match format {
            "" => thousands(value),
            "n" => value.to_string(),
            "x" => format!("{value:#x}"),
            "16" => format!("{value:#018x}"),
            "k" => thousands(value / 1024),
            "m" => thousands(value >> 20),
            _ => return Err(format!("there is no format {format} ({mark})")),
        })
    }
}

/// The number that a cell begins with: `7,168`, `26.7 M + 1.40 M, 58`.
fn number(cell: &str) -> Option<u64> {
    let cell = cell.split(" + ").next()?;
    let (digits, unit) = match cell.strip_suffix(" M") {
        Some(digits) => (digits, 1e6),
        None => (cell, 1.0),
    };
    let value: f64 = digits.replace(',', "").parse().ok()?;
    Some((value * unit).round() as u64)
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_begin_with_a_number() {
        assert_eq!(number("7,168"), Some(7168));
        assert_eq!(number("46,349 + 0.085 M, 4"), Some(46_349));
        assert_eq!(number("26.7 M + 1.40 M, 58"), Some(26_700_000));
        assert_eq!(number("yes"), None);
    }

    #[test]
    fn figures_are_filled_in() {
        let values = Values(BTreeMap::from([
            ("A_B".into(), 0x7c00),
            ("C".into(), 1234567),
        ]));
        assert_eq!(
            values.fill("{{A_B:x}}, {{A_B}}"),
            Ok("0x7c00, 31,744".into())
        );
        assert_eq!(values.fill("{{C}} {{A_B:k}}"), Ok("1,234,567 31".into()));
        assert_eq!(
            values.fill("{{#quote x:y}} {{"),
            Ok("{{#quote x:y}} {{".into())
        );
        assert!(values.fill("{{NONE}}").is_err());
        assert!(values.fill("{{C:z}}").is_err());
    }
}
