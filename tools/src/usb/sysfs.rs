//! Block devices in `/sys`.

use super::uses::number_of;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of a disk or partition in `/sys`.
pub struct Block(PathBuf);

impl Block {
    /// Finds it by its device number, `MAJOR:MINOR`.
    pub fn numbered(number: &str) -> Result<Block, String> {
        Block::at(&Path::new("/sys/dev/block").join(number))
    }

    pub fn at(path: &Path) -> Result<Block, String> {
        path.canonicalize()
            .map(Block)
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Its name in `/dev`.
    pub fn name(&self) -> String {
        let name = self.0.file_name().unwrap_or_default();
        name.to_string_lossy().replace('!', "/")
    }

    /// Reads an attribute; empty if there is none of that name.
    pub fn read(&self, attribute: &str) -> String {
        let value = fs::read(self.0.join(attribute)).unwrap_or_default();
        String::from_utf8_lossy(&value).trim().into()
    }

    /// The block devices listed in one of its folders.
    pub fn list(&self, folder: &str) -> Result<Vec<Block>, String> {
        names(&self.0.join(folder))?
            .iter()
            .map(|name| Block::at(&Path::new("/sys/class/block").join(name)))
            .collect()
    }

    pub fn bytes(&self) -> u64 {
        let units: u64 = self.read("size").parse().unwrap_or(0);
        units * 512 // regardless of the disk's sector size
    }

    pub fn is_partition(&self) -> bool {
        self.0.join("partition").exists()
    }

    pub fn partitions(&self) -> Result<Vec<Block>, String> {
        let names = names(&self.0)?.into_iter();
        let mut found: Vec<Block> = names.map(|name| Block(self.0.join(name))).collect();
        found.retain(Block::is_partition);
        found.sort_by_key(|block| block.read("partition").parse().unwrap_or(0u32));
        Ok(found)
    }

    /// The disk of a partition; a disk itself.
    pub fn whole(&self) -> Block {
        match self.0.parent() {
            Some(parent) if self.is_partition() => Block(parent.into()),
            _ => Block(self.0.clone()),
        }
    }

    /// Whether it is on that disk, directly or through other devices.
    pub fn is_on(&self, disk: &Block) -> Result<bool, String> {
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
    pub fn backing_disk(&self) -> Option<String> {
        number_of(&self.read("loop/backing_file"))
    }
}

pub fn names(folder: &Path) -> Result<Vec<OsString>, String> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries.iter().map(fs::DirEntry::file_name).collect())
}
