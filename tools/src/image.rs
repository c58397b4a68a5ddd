//! Lays out the disk: stage 1, stage 2, the checksum table, the kernel.

use crate::address_space::{self, AddressSpace};
use crate::crate09::Crate09;
use crate::elf::Kernel;
use crate::layout::*;
use crate::manifest::Manifest;
use crate::{LOADER, SECTOR, checksum, disk, sectors};
use std::path::Path;

/// Sectors of a 1.44 MB floppy disk.
const FLOPPY_SECTORS: usize = 2880;

/// What goes into an image besides the kernel and the requests in its manifest.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The kernel's command line; none if empty.
    pub command_line: String,
    /// The ramdisk for the kernel; none if empty.
    pub ramdisk: Vec<u8>,
    /// Whether the loader uses the serial line.
    pub serial: Serial,
    /// Whether the loader shows errors only.
    pub quiet: bool,
}

/// Whether the loader writes to the serial line COM1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serial {
    /// Write unless the BIOS mirrors the screen there.
    #[default]
    Auto,
    /// Always write.
    On,
    /// Never write.
    Off,
}

impl Serial {
    fn mode(self) -> u32 {
        (match self {
            Serial::Auto => SERIAL_AUTO,
            Serial::On => SERIAL_ON,
            Serial::Off => SERIAL_OFF,
        }) as u32
    }
}

impl Options {
    /// The boot modules that are not empty, each with its program header's type.
    fn modules(&self) -> Vec<(u64, &[u8])> {
        let all = [
            (PT_COMMAND_LINE, self.command_line.as_bytes()),
            (PT_RAMDISK, &self.ramdisk),
        ];
        all.into_iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .collect()
    }
}

/// A loader as linked: its bytes, and where the instruction that compares the checksum
/// of stage 2 has it.
#[derive(Clone, Copy, Debug)]
pub struct Loader<'bytes> {
    /// The bytes as stored on the disk: whole sectors.
    pub bytes: &'bytes [u8],
    /// The address of the symbol `STAGE2_CHECKSUM`.
    pub stage2_checksum: u64,
}

impl Default for Loader<'_> {
    fn default() -> Self {
        Loader {
            bytes: LOADER,
            stage2_checksum: STAGE2_CHECKSUM,
        }
    }
}

/// A disk image.
pub struct Image {
    /// The bytes of the disk.
    pub bytes: Vec<u8>,
    /// The number of leading sectors that are read during a boot.
    pub used_sectors: usize,
}

impl Image {
    /// Builds an image of the loader and a kernel, according to the kernel's
    /// manifest and the options.
    pub fn new(
        kernel: &Kernel,
        manifest: &Manifest,
        options: &Options,
    ) -> Result<Self, address_space::Error> {
        Image::with_loader(&Loader::default(), kernel, manifest, options)
    }

    /// The same with another loader, whose image header is where this one's is.
    pub fn with_loader(
        loader: &Loader,
        kernel: &Kernel,
        manifest: &Manifest,
        options: &Options,
    ) -> Result<Self, address_space::Error> {
        let space = AddressSpace::choose(kernel, manifest)?;
        let modules = options.modules();
        let is_unmapped = |it: Crate09| !it.maps_physical_memory();
        if !modules.is_empty() && manifest.crate09.is_some_and(is_unmapped) {
            return Err(address_space::Error::ModulesNotMapped);
        }
        let (elf, elf_sectors) = kernel.reduced(&modules);
        let table_sector = sectors(loader.bytes.len()) as u32;
        let table_sectors = table_sectors(chunk_count(&elf, elf_sectors));
        let kernel_sector = table_sector + table_sectors as u32;

        // One chunk has the headers; the segments start a new chunk.
        let (headers, segments) = elf.split_at(elf_sectors * SECTOR);
        let segments_sector = kernel_sector + elf_sectors as u32;
        let checksums: Vec<u64> = checksum::chunks(headers, kernel_sector)
            .chain(checksum::chunks(segments, segments_sector))
            .map(|(first, bytes)| checksum::chunk(bytes, first))
            .collect();
        let (table, table_checksum) = checksum_table(&checksums, table_sector);

        let mut bytes = loader.bytes.to_vec();
        bytes.resize(table_sector as usize * SECTOR, 0);
        let mut put = |address: u64, field: &[u8]| {
            bytes[(address - STAGE1_BASE) as usize..][..field.len()].copy_from_slice(field);
        };
        put(CHECKSUMS_SECTOR, &table_sector.to_le_bytes());
        put(CHECKSUMS_SECTORS, &(table_sectors as u32).to_le_bytes());
        put(CHECKSUMS_CHECKSUM, &table_checksum.to_le_bytes());
        put(KERNEL_SECTOR, &kernel_sector.to_le_bytes());
        put(KERNEL_SECTORS, &(sectors(elf.len()) as u32).to_le_bytes());
        put(ELF_SECTORS, &(elf_sectors as u32).to_le_bytes());
        put(ALLOW_WX, &u32::from(kernel.writable_code).to_le_bytes());
        put(SERIAL_MODE, &options.serial.mode().to_le_bytes());
        put(STACK_PAGES, &(space.stack_pages as u32).to_le_bytes());
        put(MAX_FRAME, &space.frames().to_le_bytes());
        put(FEATURES, &Crate09::header(manifest.crate09).to_le_bytes());
        put(QUIET, &u32::from(options.quiet).to_le_bytes());
        let recursive = space.recursive.unwrap_or(0);
        put(RECURSIVE_ADDRESS, &recursive.to_le_bytes());
        for (address, range) in [
            (INFO_ADDRESS, space.boot_info),
            (STACK_GUARD, space.stack),
            (PHYSICAL_OFFSET, space.physical),
        ] {
            put(address, &range.first.to_le_bytes());
            put(address + 8, &range.last.to_le_bytes());
        }

        let stage2_checksum = checksum::stage2(&bytes[SECTOR..]);
        bytes[(loader.stage2_checksum - STAGE1_BASE) as usize..][..4]
            .copy_from_slice(&stage2_checksum.to_le_bytes());

        bytes.extend(table);
        bytes.extend(elf);
        let used_sectors = sectors(bytes.len());
        let extent = disk::extent(bytes.len());
        disk::partition(&mut bytes[..SECTOR], extent, stage2_checksum);
        // Unlike `resize`, this takes memory that is zero already.
        let mut image = vec![0; extent.bytes];
        image[..bytes.len()].copy_from_slice(&bytes);
        Ok(Image {
            bytes: image,
            used_sectors,
        })
    }

    /// A one-line summary for the user.
    pub fn describe(&self, path: &Path) -> String {
        format!(
            "{}: {} MiB, of which {} KiB are loaded; {} a 1.44 MB floppy disk",
            path.display(),
            self.bytes.len() >> 20,
            self.used_sectors.div_ceil(2),
            if self.fits_floppy() {
                "fits on"
            } else {
                "too large for"
            },
        )
    }

    /// Whether the sectors that are read fit on a 1.44 MB floppy disk.
    pub fn fits_floppy(&self) -> bool {
        self.used_sectors <= FLOPPY_SECTORS
    }
}

/// The number of chunks in the reduced ELF: one for its headers, the others for
/// the segments.
fn chunk_count(elf: &[u8], elf_sectors: usize) -> usize {
    1 + (sectors(elf.len()) - elf_sectors).div_ceil(CHUNK_SECTORS as usize)
}

/// The number of sectors of the checksum table for this many chunks: full blocks,
/// and the used sectors of the last block.
fn table_sectors(chunks: usize) -> usize {
    let blocks = chunks.div_ceil(BLOCK_CHECKSUMS as usize);
    let last = chunks - (blocks - 1) * BLOCK_CHECKSUMS as usize;
    (blocks - 1) * CHUNK_SECTORS as usize + sectors(last * CHECKSUM_BYTES as usize)
}

/// The checksum table as stored on the disk, and the checksum of its first block.
/// It is built from the last block to the first, because the last slot of each
/// block has the checksum of the next block.
fn checksum_table(checksums: &[u64], table_sector: u32) -> (Vec<u8>, u64) {
    let mut table = Vec::new();
    let mut next = None;
    for (n, block) in checksums.chunks(BLOCK_CHECKSUMS as usize).enumerate().rev() {
        let mut bytes: Vec<u8> = block
            .iter()
            .chain(&next)
            .flat_map(|checksum| checksum.to_le_bytes())
            .collect();
        bytes.resize(sectors(bytes.len()) * SECTOR, 0);
        let first = table_sector + (n as u64 * CHUNK_SECTORS) as u32;
        next = Some(checksum::chunk(&bytes, first));
        bytes.append(&mut table);
        table = bytes;
    }
    (table, next.expect("there is at least one chunk"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block has 8,127 checksums, and that of the next block.
    #[test]
    fn checksum_tables_of_several_blocks() {
        for (chunks, expected) in [(1, 1), (64, 1), (65, 2), (8127, 127), (8128, 128)] {
            assert_eq!(table_sectors(chunks), expected, "{chunks}");
        }
        let checksums: Vec<u64> = (0..8128).collect();
        let (table, checksum) = checksum_table(&checksums, 16);
        assert_eq!(table.len(), 128 * SECTOR);
        let (first, second) = table.split_at(127 * SECTOR);
        assert_eq!(checksum, checksum::chunk(first, 16));
        let next = checksum::chunk(second, 16 + 127);
        assert!(first.ends_with(&next.to_le_bytes()));
        assert!(second.starts_with(&8127u64.to_le_bytes()));
    }
}
