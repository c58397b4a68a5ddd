//! The two checksums with which the loader verifies stage 2 and the kernel.
//!
//! `docs/disk.md` describes the errors that each detects, and those it misses.

use crate::layout::{
    CHECKSUM_FACTOR, CHECKSUM_LANES, CHECKSUM_ROUND, CHUNK_SECTORS, STAGE2_FACTOR,
};
use crate::{SECTOR, sectors};

/// The checksum of stage 2, as `boot/stage1.s` computes it: each step takes a
/// 32-bit word and is invertible, so changing one word changes the result.
pub fn stage2(bytes: &[u8]) -> u32 {
    bytes.as_chunks().0.iter().fold(0, |checksum: u32, &word| {
        (checksum ^ u32::from_le_bytes(word))
            .wrapping_mul(STAGE2_FACTOR as u32)
            .rotate_left(1)
    })
}

/// The checksum of one chunk, as `boot/chunk.s` computes it. `bytes` are whole
/// sectors; `first` is the number of the first one on the disk.
pub fn chunk(bytes: &[u8], first: u32) -> u64 {
    let mut lanes = [0u64; CHECKSUM_LANES as usize];
    lanes[0] = u64::from(first);
    for round in bytes.as_chunks::<{ CHECKSUM_ROUND as usize }>().0 {
        for (n, &word) in round.as_chunks().0.iter().enumerate() {
            let lane = &mut lanes[n % CHECKSUM_LANES as usize];
            *lane = (*lane ^ u64::from_le_bytes(word)).wrapping_mul(CHECKSUM_FACTOR);
        }
        lanes = lanes.map(u64::swap_bytes);
    }
    lanes
        .into_iter()
        .reduce(|checksum, lane| checksum.wrapping_mul(CHECKSUM_FACTOR) ^ lane)
        .expect("there are lanes")
}

/// Splits whole sectors, the first of which is sector `first` of the disk, into
/// chunks that one BIOS call can read. Yields each with its first sector.
pub fn chunks(bytes: &[u8], first: u32) -> impl Iterator<Item = (u32, &[u8])> {
    let chunk_sectors = CHUNK_SECTORS as usize;
    (0..sectors(bytes.len()).div_ceil(chunk_sectors)).map(move |n| {
        let from = n * chunk_sectors * SECTOR;
        let to = bytes.len().min(from + chunk_sectors * SECTOR);
        (first + (n * chunk_sectors) as u32, &bytes[from..to])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flips every bit of two sectors: each flip must change the checksum.
    #[test]
    fn every_flipped_bit_changes_the_checksum() {
        let mut bytes: Vec<u8> = (0..2 * SECTOR).map(|n| (n * 7) as u8).collect();
        let (good_chunk, good_stage2) = (chunk(&bytes, 9), stage2(&bytes));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(chunk(&bytes, 9), good_chunk, "bit {bit}");
            assert_ne!(stage2(&bytes), good_stage2, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    /// Zeroes each sector and swaps each pair of sectors: each must change the checksum.
    #[test]
    fn damaged_sectors_change_the_checksum() {
        let bytes: Vec<u8> = (0..16 * SECTOR as u64)
            .map(|n| (n.wrapping_mul(CHECKSUM_FACTOR) >> 56) as u8)
            .collect();
        let (good_chunk, good_stage2) = (chunk(&bytes, 9), stage2(&bytes));
        let check = |damaged: &[u8]| {
            assert_ne!(chunk(damaged, 9), good_chunk);
            assert_ne!(stage2(damaged), good_stage2);
        };
        for one in 0..16 {
            let mut damaged = bytes.clone();
            damaged[one * SECTOR..][..SECTOR].fill(0);
            check(&damaged);
            for other in 0..one {
                let mut damaged = bytes.clone();
                let (low, high) = damaged.split_at_mut(one * SECTOR);
                low[other * SECTOR..][..SECTOR].swap_with_slice(&mut high[..SECTOR]);
                check(&damaged);
            }
        }
    }

    /// Two sectors with one word each, at different positions: the sum of the
    /// words would stay the same.
    #[test]
    fn swapped_sectors_change_the_checksum() {
        let mut bytes = vec![0u8; 2 * SECTOR];
        bytes[0] = 1;
        bytes[SECTOR + 128] = 1;
        let mut swapped = bytes.clone();
        swapped.rotate_left(SECTOR);
        assert_ne!(chunk(&bytes, 9), chunk(&swapped, 9));
        assert_ne!(stage2(&bytes), stage2(&swapped));
    }

    #[test]
    fn the_checksum_depends_on_the_sector_number() {
        let bytes = [0u8; SECTOR];
        assert_ne!(chunk(&bytes, 9), chunk(&bytes, 10));
    }
}
