//! What uses block devices: mounts and swap, from `/proc`.

use rustix::fs::{major, minor};
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// The number of a block device, in the format of `/sys` and `/proc`.
pub fn number(file: &Metadata) -> Option<String> {
    let device = file.rdev();
    let is_block = file.file_type().is_block_device();
    is_block.then(|| format!("{}:{}", major(device), minor(device)))
}

pub fn number_of(path: &str) -> Option<String> {
    number(&fs::metadata(path).ok()?)
}

/// Reads a file in `/proc`, which may contain arbitrary bytes in names.
fn proc(file: &str) -> Result<String, String> {
    let bytes = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into())
}

/// The device numbers and mount points of all mounted block devices.
pub fn mounts() -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    for line in proc("/proc/self/mountinfo")?.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let source = line
            .split(" - ")
            .nth(1)
            .and_then(|end| end.split(' ').nth(1));
        let (Some(device), Some(point)) = (fields.get(2), fields.get(4)) else {
            return Err(format!(
                "/proc/self/mountinfo has an unexpected line: '{line}'"
            ));
        };
        found.push((device.to_string(), point.to_string()));
        // For Btrfs, that number is not the disk's, but the source is its name.
        if let Some(device) = source.and_then(number_of) {
            found.push((device, point.to_string()));
        }
    }
    Ok(found)
}

/// The device numbers of all swap devices.
pub fn swaps() -> Result<Vec<String>, String> {
    let swaps = match fs::exists("/proc/swaps") {
        Ok(false) => return Ok(Vec::new()), // no swap support
        _ => proc("/proc/swaps")?,
    };
    let devices = swaps
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next());
    Ok(devices.filter_map(number_of).collect())
}
