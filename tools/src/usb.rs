//! `siso-image usb`: writes an image to a USB stick, and to no disk in use.
//!
//! `/sys` and `/proc` show whether a disk is in use; such a disk is refused. Then
//! the disk is opened exclusively, so that the operating system checks it again.
//! It stays open until the end, also while the user is asked.

use crate::SECTOR;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write, stderr, stdin, stdout};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// open(2): on a block device, fail if a mount, swap or another device uses it.
const O_EXCL: i32 = 0o200;
/// open(2): bypass the page cache. Addresses and lengths must be multiples of the
/// disk's sector size.
const O_DIRECT: i32 = match std::env::consts::ARCH.as_bytes() {
    b"x86" | b"x86_64" | b"riscv64" | b"loongarch64" | b"s390x" => 0o40000,
    b"arm" | b"aarch64" => 0o200000,
    b"powerpc" | b"powerpc64" => 0o400000,
    _ => panic!("add the values of O_EXCL and O_DIRECT for this architecture"),
};
/// Bytes to write or compare at a time.
const BLOCK: usize = MIB;
/// The alignment of the buffer, enough for any disk.
const ALIGNMENT: usize = 4096;
const MIB: usize = 1 << 20;
/// The start of a GPT header and of its backup in the last sector.
const GPT: &[u8] = b"EFI PART";

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

/// The folder of a disk or partition in `/sys`.
struct Block(PathBuf);

impl Block {
    /// Finds it by its device number, `MAJOR:MINOR`.
    fn numbered(number: &str) -> Result<Block, String> {
        Block::at(&Path::new("/sys/dev/block").join(number))
    }

    fn at(path: &Path) -> Result<Block, String> {
        path.canonicalize()
            .map(Block)
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Its name in `/dev`.
    fn name(&self) -> String {
        let name = self.0.file_name().unwrap_or_default();
        name.to_string_lossy().replace('!', "/")
    }

    /// Reads an attribute; empty if there is none of that name.
    fn read(&self, attribute: &str) -> String {
        let value = fs::read(self.0.join(attribute)).unwrap_or_default();
        String::from_utf8_lossy(&value).trim().into()
    }

    /// The block devices listed in one of its folders.
    fn list(&self, folder: &str) -> Result<Vec<Block>, String> {
        names(&self.0.join(folder))?
            .iter()
            .map(|name| Block::at(&Path::new("/sys/class/block").join(name)))
            .collect()
    }

    fn bytes(&self) -> u64 {
        let units: u64 = self.read("size").parse().unwrap_or(0);
        units * 512 // regardless of the disk's sector size
    }

    fn is_partition(&self) -> bool {
        self.0.join("partition").exists()
    }

    fn partitions(&self) -> Result<Vec<Block>, String> {
        let names = names(&self.0)?.into_iter();
        let mut found: Vec<Block> = names.map(|name| Block(self.0.join(name))).collect();
        found.retain(Block::is_partition);
        found.sort_by_key(|block| block.read("partition").parse().unwrap_or(0u32));
        Ok(found)
    }

    /// The disk of a partition; a disk itself.
    fn whole(&self) -> Block {
        match self.0.parent() {
            Some(parent) if self.is_partition() => Block(parent.into()),
            _ => Block(self.0.clone()),
        }
    }

    /// Whether it is on that disk, directly or through other devices.
    fn is_on(&self, disk: &Block) -> Result<bool, String> {
        let whole = self.whole();
        if whole.0 == disk.0 {
            return Ok(true);
        }
        for below in whole.list("slaves")? {
            if below.is_on(disk)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The device number of the disk that a loop device uses, if it is one.
    fn backing_disk(&self) -> Option<String> {
        number_of(&self.read("loop/backing_file"))
    }
}

fn names(folder: &Path) -> Result<Vec<OsString>, String> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries.iter().map(fs::DirEntry::file_name).collect())
}

/// The number of a block device, in the format of `/sys` and `/proc`.
fn number(file: &Metadata) -> Option<String> {
    let device = file.rdev();
    let major = ((device >> 32) & 0xffff_f000) | ((device >> 8) & 0xfff);
    let minor = ((device >> 12) & 0xffff_ff00) | (device & 0xff);
    let is_block = file.file_type().is_block_device();
    is_block.then(|| format!("{major}:{minor}"))
}

fn number_of(path: &str) -> Option<String> {
    number(&fs::metadata(path).ok()?)
}

/// Reads a file in `/proc`, which may contain arbitrary bytes in names.
fn proc(file: &str) -> Result<String, String> {
    let bytes = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into())
}

/// The device numbers and mount points of all mounted block devices.
fn mounts() -> Result<Vec<(String, String)>, String> {
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
fn swaps() -> Result<Vec<String>, String> {
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

struct Disk {
    number: String,
    whole: Block,
    partitions: Vec<Block>,
}

impl Disk {
    fn find(device: &Path) -> Result<Disk, String> {
        let file = fs::metadata(device).map_err(|error| error.to_string())?;
        let number = number(&file).ok_or("is not a disk: not a block device")?;
        let block = Block::numbered(&number)?;
        if block.is_partition() {
            let whole = block.whole().name();
            return Err(format!("is a partition; name the whole disk, /dev/{whole}"));
        }
        Ok(Disk {
            number,
            partitions: block.partitions()?,
            whole: block,
        })
    }

    /// Refuses a disk that is in use or cannot hold this many bytes.
    fn check(&self, bytes: u64) -> Result<(), String> {
        let mounts = mounts()?;
        for (number, _) in mounts.iter().filter(|(_, point)| point == "/") {
            // The numbers of some file systems are not those of block devices.
            if Block::numbered(number).is_ok_and(|root| root.is_on(&self.whole).unwrap_or(true)) {
                return Err("contains the root file system".into());
            }
        }
        self.check_use(&self.whole, &mounts)?;
        for partition in &self.partitions {
            self.check_use(partition, &mounts)
                .map_err(|reason| format!("its partition {} {reason}", partition.name()))?;
        }
        if let Some(below) = self.whole.backing_disk() {
            let below = Block::numbered(&below)?.name();
            return Err(format!("is a loop device over another disk, /dev/{below}"));
        }
        let (size, sector) = (
            self.whole.bytes(),
            self.whole.read("queue/logical_block_size"),
        );
        if self.whole.read("ro") != "0" {
            Err("is read-only".into())
        } else if size < bytes {
            Err(format!(
                "holds {}, but the image has {}",
                human(size),
                human(bytes)
            ))
        } else if sector != SECTOR.to_string() {
            Err(format!(
                "has sectors of {sector} bytes; the loader supports only {SECTOR}"
            ))
        } else {
            Ok(())
        }
    }

    /// Refuses a disk or partition that something uses.
    fn check_use(&self, block: &Block, mounts: &[(String, String)]) -> Result<(), String> {
        let number = block.read("dev");
        if let Some((_, point)) = mounts.iter().find(|(device, _)| *device == number) {
            return Err(format!("is mounted on {point}"));
        }
        if swaps()?.contains(&number) {
            return Err("is used as swap".into());
        }
        // The holders of a disk do not include loop devices.
        let mut holders = block.list("holders")?;
        let all = Path::new("/sys/class/block");
        for other in names(all)? {
            let Ok(other) = Block::at(&all.join(other)) else {
                continue; // it no longer exists
            };
            if other.backing_disk().as_ref() == Some(&number) {
                holders.push(other);
            }
        }
        match holders.first() {
            Some(holder) => Err(format!("is in use by {}", holder.name())),
            None => Ok(()),
        }
    }

    /// Opens the disk exclusively.
    fn open(&self, device: &Path) -> Result<File, String> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(O_EXCL | O_DIRECT)
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

    fn describe(&self, image: u64, clear_backup: bool) -> String {
        let read = |name| self.whole.read(name);
        let names = match read("device/model") {
            model if !model.is_empty() => vec![read("device/vendor"), model],
            _ => vec![read("device/name"), read("loop/backing_file")],
        };
        let mut text = format!("/dev/{}: ", self.whole.name());
        for name in names.iter().filter(|name| !name.is_empty()) {
            text += &format!("{name}, ");
        }
        text += &human(self.whole.bytes());
        text += &format!(
            "\nIts partition table and its first {} will be overwritten.",
            human(image)
        );
        if self.partitions.is_empty() {
            text += " Linux sees no partitions on it.";
        }
        for partition in &self.partitions {
            let size = human(partition.bytes());
            text += &format!("\n  {} will be lost: {size}", partition.name());
        }
        if clear_backup {
            text += "\nThe backup GPT in its last sector will be cleared, because \
                     systems may restore the partition table from it.";
        }
        text
    }

    /// Asks the user for confirmation. The end of input means no.
    fn confirmed(&self) -> io::Result<bool> {
        let device = format!("/dev/{}", self.whole.name());
        let removable = self.whole.read("removable") == "1";
        if removable {
            print!("Write to it? [y/N] ");
        } else {
            print!("This is not a removable disk. To write to it, type {device}: ");
        }
        stdout().flush()?;
        let mut answer = String::new();
        stdin().lock().read_line(&mut answer)?;
        if !stdin().is_terminal() {
            println!();
        }
        let answer = answer.trim();
        Ok(if removable {
            ["y", "yes"].contains(&answer.to_lowercase().as_str())
        } else {
            answer == device
        })
    }
}

fn human(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64),
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

fn is_gpt(file: &File, at: u64) -> Result<bool, String> {
    let mut buffer = Buffer::new();
    let sector = buffer.first(SECTOR);
    let read = file.read_exact_at(sector, at);
    read.map_err(|error| format!("byte {at} cannot be read: {error}"))?;
    Ok(sector.starts_with(GPT))
}

fn put(file: &File, parts: &[Part]) -> Result<(), String> {
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

fn compare(file: &File, parts: &[Part]) -> Result<(), String> {
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
        let folder = crate::qemu::temporary_folder().expect("a folder can be made");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let file = options
            .open(folder.join("disk"))
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
        let _ = fs::remove_dir_all(folder); // temporary, so a failure is harmless
    }

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
