//! `siso-image usb`: writes an image to a USB stick, and to no disk in use.
//!
//! `/sys` and `/proc` show whether a disk is in use; such a disk is refused. Then
//! the disk is opened exclusively, so that the operating system checks it again.
//! It stays open until the end, also while the user is asked.

mod dialogue;
mod direct;
mod disk;
mod sysfs;
mod uses;

use crate::SECTOR;
use direct::{compare, is_gpt, put};
use disk::Disk;
use std::path::Path;

const MIB: usize = 1 << 20;

/// Bytes to write, and their offset on the disk.
type Part<'a> = (u64, &'a [u8]);

/// Writes an image to a disk if the disk is not in use and the user confirms,
/// then compares every byte.
pub fn write(image: &[u8], device: &Path) -> Result<(), String> {
    let about = |message: String| format!("{}: {message}", device.display());
    let disk = Disk::find(device).map_err(about)?;
    disk.check(image.len() as u64).map_err(about)?;
    let file = disk.open(device).map_err(about)?;

    let mut parts = vec![(0, image)];
    let last = disk.whole.bytes() - SECTOR as u64;
    let clear_backup = last >= image.len() as u64 && is_gpt(&file, last).map_err(about)?;
    if clear_backup {
        parts.push((last, &[0; SECTOR]));
    }
    println!("{}", disk.describe(image.len() as u64, clear_backup));
    if !disk.confirmed().map_err(|error| about(error.to_string()))? {
        return Err(about("not confirmed; nothing was written".into()));
    }
    put(&file, &parts).map_err(about)?;
    compare(&file, &parts).map_err(about)?;
    println!("{}: written and compared", device.display());
    Ok(())
}

/// A size as people read it.
fn human(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn human_readable_sizes() {
        let sizes = [
            (1023 << 10, "1023 KiB"),
            (MIB as u64, "1 MiB"),
            (16_000_000_000, "14.9 GiB"),
        ];
        for (bytes, words) in sizes {
            assert_eq!(human(bytes), words);
        }
    }
}
