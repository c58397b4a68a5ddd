//! The two sums that the loader proves itself and the kernel with.
//!
//! What each of them catches, and what it cannot, is told in `docs/disk.md`.

use crate::layout::{CHUNK_SECTORS, CHECKSUM_FACTOR, SUM_LINE, STAGE2_FACTOR};
use crate::{SECTOR, sectors};

/// The sum of stage 2, as `boot/stage1.s` computes it: each step takes a
/// 32-bit word and loses no bit of what came before.
pub fn stage2(bytes: &[u8]) -> u32 {
    bytes.as_chunks().0.iter().fold(0, |sum: u32, &word| {
        (sum ^ u32::from_le_bytes(word))
            .wrapping_mul(STAGE2_FACTOR as u32)
            .swap_bytes()
    })
}

/// The sum of one run, as `boot/run.s` computes it. `bytes` are whole sectors,
/// `first` is the sector on the disk that they begin at.
pub fn run(bytes: &[u8], first: u32) -> u64 {
    let (lines, _) = bytes.as_chunks::<{ SUM_LINE as usize }>();
    lines.iter().fold(u64::from(first), |sum, line| {
        let step = |sum: u64, &word| (sum ^ u64::from_le_bytes(word)).wrapping_mul(CHECKSUM_FACTOR);
        line.as_chunks().0.iter().fold(sum, step).swap_bytes()
    })
}

/// Splits whole sectors that begin at sector `first` of the disk into runs of
/// what one call of the BIOS may read, each with the sector it begins at.
pub fn runs(bytes: &[u8], first: u32) -> impl Iterator<Item = (u32, &[u8])> {
    let run = CHUNK_SECTORS as usize;
    (0..sectors(bytes.len()).div_ceil(run)).map(move |n| {
        let from = n * run * SECTOR;
        let to = bytes.len().min(from + run * SECTOR);
        (first + (n * run) as u32, &bytes[from..to])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flips every bit of some sectors: no sum may stay the same.
    #[test]
    fn every_flipped_bit_changes_the_sum() {
        let mut bytes: Vec<u8> = (0..2 * SECTOR).map(|n| (n * 7) as u8).collect();
        let (good_run, good_stage2) = (run(&bytes, 9), stage2(&bytes));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(run(&bytes, 9), good_run, "bit {bit}");
            assert_ne!(stage2(&bytes), good_stage2, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    /// One word each, at different places: a sum of words, or of words times
    /// place, would stay the same.
    #[test]
    fn swapped_sectors_change_the_sum() {
        let mut bytes = vec![0u8; 2 * SECTOR];
        bytes[0] = 1;
        bytes[SECTOR + 128] = 1;
        let mut swapped = bytes.clone();
        swapped.rotate_left(SECTOR);
        assert_ne!(run(&bytes, 9), run(&swapped, 9));
        assert_ne!(stage2(&bytes), stage2(&swapped));
    }

    #[test]
    fn the_same_bytes_elsewhere_have_another_sum() {
        let bytes = [0u8; SECTOR];
        assert_ne!(run(&bytes, 9), run(&bytes, 10));
    }
}
