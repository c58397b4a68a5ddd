//! The disks to measure: kernels of given sizes, and the floor.

use crate::tools;
use siso_image::SECTOR;
use std::path::Path;

/// The address of the payload kernels' code and entry point.
pub const ENTRY: u64 = 0x20_0000;
/// The offset of their code in the file, and of their data from [`ENTRY`].
const PAGE: u64 = 0x1000;
/// `hlt` in a loop; the plugin ends QEMU before it is executed.
const CODE: [u8; 3] = [0xf4, 0xeb, 0xfd];

/// Where the floor's boot sector jumps after reading.
pub const FLOOR_ENTRY: u64 = 0x500;

/// A kernel's ELF file: three bytes of code, and this many bytes of random data.
pub fn kernel(bytes: usize) -> Vec<u8> {
    let mut file = Vec::with_capacity(2 * PAGE as usize + bytes);
    file.extend(b"\x7fELF\x02\x01\x01"); // 64-bit, little-endian, version 1
    file.resize(16, 0);
    file.extend(2u16.to_le_bytes()); // an executable
    file.extend(62u16.to_le_bytes()); // for x86-64
    file.extend(1u32.to_le_bytes());
    for field in [ENTRY, 64, 0] {
        file.extend(field.to_le_bytes()); // entry, program headers, no sections
    }
    file.extend(0u32.to_le_bytes());
    for field in [64u16, 56, 2, 64, 0, 0] {
        file.extend(field.to_le_bytes()); // sizes and numbers of all headers
    }
    let (read, execute) = (4u32, 1u32);
    segment(&mut file, read | execute, PAGE, CODE.len() as u64);
    segment(&mut file, read, 2 * PAGE, bytes as u64);
    file.resize(PAGE as usize, 0);
    file.extend(CODE);
    file.resize(2 * PAGE as usize, 0);
    file.extend(random(bytes));
    file
}

/// Adds a PT_LOAD header; addresses follow from file offsets, and the first
/// segment is at [`ENTRY`].
fn segment(file: &mut Vec<u8>, flags: u32, offset: u64, bytes: u64) {
    let address = ENTRY - PAGE + offset;
    file.extend(1u32.to_le_bytes());
    file.extend(flags.to_le_bytes());
    for field in [offset, address, address, bytes, bytes, PAGE] {
        file.extend(field.to_le_bytes());
    }
}

/// Pseudo-random bytes, the same every time: Marsaglia and Vigna's xorshift64*.
pub fn random(bytes: usize) -> Vec<u8> {
    let mut state = 0x7369_736f_5f6f_7331_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    });
    words
        .flat_map(u64::to_le_bytes)
        .take(bytes)
        .collect::<Vec<u8>>()
}

/// A disk whose boot sector only reads this many bytes. It is padded like the
/// images of this project, so that both disks have the same geometry.
pub fn floor(bytes: usize, folder: &Path) -> Result<Vec<u8>, String> {
    let source = folder.join("floor.s");
    tools::write(&source, include_bytes!("../floor.s"))?;
    let (object, sector) = (folder.join("floor.o"), folder.join("floor.bin"));
    tools::run(
        tools::compiler()
            .arg("-c")
            .arg(format!(
                "-Wa,--fatal-warnings,--defsym,SECTORS={},--defsym,ENTRY={FLOOR_ENTRY}",
                bytes.div_ceil(SECTOR)
            ))
            .arg(&source)
            .arg("-o")
            .arg(&object),
    )?;
    tools::run(
        tools::compiler()
            .args(["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none"])
            .arg("-Wl,-Ttext=0x7c00,--oformat=binary")
            .arg(&object)
            .arg("-o")
            .arg(&sector),
    )?;
    let mut disk = tools::read(&sector)?;
    disk.extend(random(bytes));
    disk.resize(disk.len().next_multiple_of(1 << 20), 0);
    Ok(disk)
}
