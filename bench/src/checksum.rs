//! The speed of the checksum on this CPU, beside `memcpy` and a CRC.

use crate::text::{median, ratio, table};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use siso_image::SECTOR;
use siso_image::checksum::chunk;
use siso_image::layout::CHUNK_SECTORS;
use std::hint::black_box;
use std::slice;
use std::time::Instant;

const SECTORS: usize = CHUNK_SECTORS as usize;
const BYTES: usize = SECTORS * SECTOR;
/// Chunks per measurement: some milliseconds.
const CHUNKS: usize = 2000;
const RUNS: usize = 15;

unsafe extern "C" {
    /// The loader's routine: the checksum of the chunk in the buffer.
    fn checksum_chunk(first: u32, sectors: u32) -> u64;
}

/// A table of the speeds in GB/s, and their ratios to `memcpy`.
pub fn speeds() -> Result<String, String> {
    let buffer = buffer()?;
    for (n, byte) in buffer.iter_mut().enumerate() {
        *byte = (n * 31 / 8) as u8;
    }
    let expected = chunk(buffer, 1);
    // SAFETY: the routine reads this many sectors of the buffer and changes only
    // registers that its wrapper saves.
    let checksum = || unsafe { checksum_chunk(1, SECTORS as u32) };
    if checksum() != expected {
        return Err("the checksum routine computes another checksum".into());
    }
    let mut copy = vec![0; BYTES];
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        all[0].push(speed(|| {
            copy.copy_from_slice(black_box(buffer));
            black_box(&mut copy);
        }));
        all[1].push(speed(|| _ = black_box(checksum())));
        all[2].push(speed(|| _ = black_box(crc32fast::hash(black_box(buffer)))));
    }
    let [memcpy, ours, crc] = all.map(median);
    let row =
        |name: &str, speed: f64| vec![name.into(), format!("{speed:.1}"), ratio(speed, memcpy)];
    Ok(table(
        &["64 KiB in the cache, this CPU", "GB/s", "of memcpy"],
        &[
            row("`memcpy`", memcpy),
            row("the loader's checksum (`boot/chunk.s`)", ours),
            row("CRC-32 (crate `crc32fast`, SSE)", crc),
        ],
    ))
}

/// The buffer of the assembled routine.
fn buffer() -> Result<&'static mut [u8], String> {
    let address: usize = env!("BUFFER").parse().expect("build.rs wrote a number");
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
    // SAFETY: nothing is mapped there yet, or this fails; the memory stays mapped.
    unsafe {
        let start = mmap_anonymous(address as *mut _, BYTES, rights, flags);
        let start = start.map_err(|error| format!("a buffer at {address:#x}: {error}"))?;
        Ok(slice::from_raw_parts_mut(start.cast(), BYTES))
    }
}

/// The speed in GB/s of an action that reads one chunk.
fn speed(mut action: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..CHUNKS {
        action();
    }
    (CHUNKS * BYTES) as f64 / start.elapsed().as_secs_f64() / 1e9
}
