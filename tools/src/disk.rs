//! The partition table in sector 0.
//!
//! BIOSes require one active entry, and derive the disk's geometry from the end
//! of its partition, which is the last head and sector of a cylinder.

use crate::layout::DISK_SIGNATURE;
use crate::{SECTOR, sectors};

/// Offset of the table's first entry in sector 0.
const TABLE: usize = 0x1be;
const ACTIVE: u8 = 0x80;
/// A partition type reserved for individual use: no system mounts it.
const TYPE: u8 = 0x7f;
const SECTORS_PER_TRACK: usize = 63;
const MIB: usize = 1 << 20;

/// The sizes of the image and its partition.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// The size of the image in bytes, a multiple of 1 MiB.
    pub bytes: usize,
    /// The partition's last sector.
    pub last: usize,
    heads: usize,
}

/// The smallest extent that holds this many bytes. The image has whole MiBs, the
/// partition whole cylinders. There are 16 heads if 1,024 cylinders of those are
/// enough, otherwise 255.
pub fn extent(used: usize) -> Extent {
    let fits = |heads: usize| {
        let cylinder = heads * SECTORS_PER_TRACK;
        let cylinders = sectors(used).div_ceil(cylinder).max(1);
        (cylinders, cylinder * cylinders)
    };
    let heads = if fits(16).0 <= 1024 { 16 } else { 255 };
    let end = fits(heads).1;
    let bytes = (end * SECTOR).next_multiple_of(MIB);
    // The padding may have room for another cylinder.
    let cylinder = heads * SECTORS_PER_TRACK;
    Extent {
        bytes,
        last: bytes / SECTOR / cylinder * cylinder - 1,
        heads,
    }
}

/// Writes the disk signature, by which systems distinguish disks, and the
/// partition table into sector 0.
pub fn partition(sector: &mut [u8], extent: Extent, signature: u32) {
    sector[DISK_SIGNATURE as usize..][..4].copy_from_slice(&signature.to_le_bytes());
    let entry = &mut sector[TABLE..][..16];
    entry[0] = ACTIVE;
    entry[1..4].copy_from_slice(&chs(1, extent.heads));
    entry[4] = TYPE;
    entry[5..8].copy_from_slice(&chs(extent.last, extent.heads));
    entry[8..12].copy_from_slice(&1u32.to_le_bytes());
    entry[12..16].copy_from_slice(&(extent.last as u32).to_le_bytes());
}

/// A sector number as head, sector and cylinder, packed as in a partition entry;
/// the cylinder is at most 1023.
fn chs(sector: usize, heads: usize) -> [u8; 3] {
    let track = sector / SECTORS_PER_TRACK;
    let cylinder = (track / heads).min(1023);
    let head = track % heads;
    let number = sector % SECTORS_PER_TRACK + 1;
    [
        head as u8,
        (cylinder >> 8 << 6 | number) as u8,
        cylinder as u8,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_end_on_a_cylinder_and_hold_the_used_bytes() {
        for used in [1, MIB, 5 * MIB + 1, 503 * MIB, 600 * MIB, 9000 * MIB] {
            let extent = extent(used);
            let [head, sector, _] = chs(extent.last, extent.heads);
            assert_eq!(usize::from(head) + 1, extent.heads, "{used}");
            assert_eq!(usize::from(sector & 63), SECTORS_PER_TRACK, "{used}");
            assert!(extent.last < extent.bytes / SECTOR, "{used}");
            assert!(sectors(used) <= extent.last + 1, "{used}");
            assert_eq!(extent.bytes % MIB, 0, "{used}");
        }
    }
}
