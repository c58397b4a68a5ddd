//! Which disks may be overwritten: those that hold the image and that nothing uses.

use super::human;
use super::sysfs::{Block, names};
use super::uses::{mounts, number, swaps};
use crate::SECTOR;
use std::fs;
use std::path::Path;

/// A disk and its partitions.
pub struct Disk {
    pub number: String,
    pub whole: Block,
    pub partitions: Vec<Block>,
}

impl Disk {
    pub fn find(device: &Path) -> Result<Disk, String> {
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
    pub fn check(&self, bytes: u64) -> Result<(), String> {
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
}
