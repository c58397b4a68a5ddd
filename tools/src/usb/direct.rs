//! Reads and writes a disk directly, past the page cache.

use super::disk::Disk;
use super::uses::number;
use super::{MIB, Part};
use crate::SECTOR;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, stderr};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes to write or compare at a time.
const BLOCK: usize = MIB;
/// The alignment of the buffer, enough for any disk.
const ALIGNMENT: usize = 4096;
/// The start of a GPT header and of its backup in the last sector.
const GPT: &[u8] = b"EFI PART";

impl Disk {
    /// Opens the disk exclusively.
    pub fn open(&self, device: &Path) -> Result<File, String> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlags::EXCL | OFlags::DIRECT).bits() as i32)
            .open(device)
            .map_err(|error| match error.kind() {
                io::ErrorKind::ResourceBusy => {
                    "is in use, according to the operating system".into()
                }
                io::ErrorKind::PermissionDenied => {
                    let command: Vec<String> = std::env::args().collect();
                    format!("only root can write to it; run: sudo {}", command.join(" "))
                }
                _ => error.to_string(),
            })?;
        // The name may refer to another disk by now.
        match file.metadata() {
            Ok(data) if number(&data).as_ref() == Some(&self.number) => Ok(file),
            _ => Err("now refers to another disk".into()),
        }
    }
}

/// An aligned buffer for O_DIRECT.
struct Buffer(Vec<u8>);

impl Buffer {
    fn new() -> Buffer {
        Buffer(vec![0; BLOCK + ALIGNMENT])
    }

    fn first(&mut self, length: usize) -> &mut [u8] {
        let start = self.0.as_ptr().align_offset(ALIGNMENT);
        &mut self.0[start..][..length]
    }
}

pub fn is_gpt(file: &File, at: u64) -> Result<bool, String> {
    let mut buffer = Buffer::new();
    let sector = buffer.first(SECTOR);
    let read = file.read_exact_at(sector, at);
    read.map_err(|error| format!("byte {at} cannot be read: {error}"))?;
    Ok(sector.starts_with(GPT))
}

pub fn put(file: &File, parts: &[Part]) -> Result<(), String> {
    let mut buffer = Buffer::new();
    for_each_block("written", parts, |at, block| {
        let buffer = buffer.first(block.len());
        buffer.copy_from_slice(block);
        file.write_all_at(buffer, at)
            .map_err(|error| format!("writing failed at byte {at}; do not boot from it: {error}"))
    })?;
    file.sync_all()
        .map_err(|error| format!("writing failed; do not boot from it: {error}"))
}

pub fn compare(file: &File, parts: &[Part]) -> Result<(), String> {
    let mut buffer = Buffer::new();
    for_each_block("compared", parts, |at, block| {
        let buffer = buffer.first(block.len());
        file.read_exact_at(buffer, at)
            .map_err(|error| format!("byte {at} cannot be read back: {error}"))?;
        match buffer.iter().zip(block).position(|(is, was)| is != was) {
            None => Ok(()),
            Some(n) => Err(format!(
                "byte {} differs: 0x{:02x} was written, 0x{:02x} was read; do not boot from it",
                at + n as u64,
                block[n],
                buffer[n]
            )),
        }
    })
}

/// Calls `step` for each block of all parts, and shows the progress.
fn for_each_block(
    what: &str,
    parts: &[Part],
    mut step: impl FnMut(u64, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let terminal = stderr().is_terminal();
    let total: usize = parts.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut done = 0;
    for (start, bytes) in parts {
        for (n, block) in bytes.chunks(BLOCK).enumerate() {
            let result = step(start + (n * BLOCK) as u64, block);
            if terminal && result.is_err() {
                eprintln!();
            }
            result?;
            done += block.len();
            let line = format!("{} of {} MiB {what}", done / MIB, total / MIB);
            if terminal {
                eprint!("\r{line}");
            } else if done == total || done % (64 * MIB) == 0 {
                eprintln!("{line}");
            }
        }
    }
    if terminal {
        eprintln!();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_different_byte_is_reported() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let file = options
            .open(folder.path().join("disk"))
            .expect("a file can be made");
        let end = 3 * MIB as u64;
        let image = vec![0x5a; 2 * MIB];
        let parts = [(0, &image[..]), (end, &[0; SECTOR])];
        let write = |byte: u8, at: u64| file.write_all_at(&[byte], at).expect("it can be written");

        assert_eq!(put(&file, &parts), Ok(()));
        assert_eq!(compare(&file, &parts), Ok(()));
        write(1, end + 7);
        let other = compare(&file, &parts).expect_err("it is different");
        assert!(other.starts_with("byte 3145735 differs: 0x00 was written, 0x01 was read"));
        write(0xa5, MIB as u64 + 1);
        let other = compare(&file, &parts).expect_err("it is different");
        assert!(other.starts_with("byte 1048577 differs: 0x5a was written, 0xa5 was read"));
        file.set_len(MIB as u64).expect("it can be shortened");
        let other = compare(&file, &parts).expect_err("it is shorter");
        assert!(other.starts_with("byte 1048576 cannot be read back: "));
    }
}
