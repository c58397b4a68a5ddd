//! Lays out the disk: stage 1, stage 2, the sums, the kernel.

use crate::elf::Kernel;
use crate::layout::*;
use crate::manifest::Manifest;
use crate::address_space::{self, AddressSpace};
use crate::{LOADER, SECTOR, disk, checksum, disk, sectors};
use std::path::Path;

/// What a floppy disk of 1.44 MB holds.
const FLOPPY_SECTORS: usize = 2880;

/// A disk image and what there is to say about it.
pub struct Image {
    /// The bytes that go to the disk.
    pub bytes: Vec<u8>,
    /// Sectors that are read when it boots, from the first on.
    pub used_sectors: usize,
}

/// What a kernel may be given along; nothing where it is empty.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A text for the kernel.
    pub command_line: String,
    /// A file's bytes.
    pub ramdisk: Vec<u8>,
}

impl Options {
    /// Those that there are, each with the type of its program header.
    fn list(&self) -> Vec<(u64, &[u8])> {
        let all = [
            (PT_COMMAND_LINE, self.command_line.as_bytes()),
            (PT_RAMDISK, &self.ramdisk),
        ];
        all.into_iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .collect()
    }
}

impl Image {
    /// Joins the loader, a kernel, what its manifest asks for, and what it is
    /// given along.
    pub fn new(
        kernel: &Kernel,
        manifest: &Manifest,
        packages: &Options,
    ) -> Result<Self, address_space::Error> {
        let places = AddressSpace::choose(kernel, manifest)?;
        let (elf, elf_sectors) = kernel.reduced(&packages.list());
        let proof_sector = sectors(LOADER.len()) as u32;
        let proof_sectors = proof_sectors(elf_runs(&elf, elf_sectors));
        let kernel_sector = proof_sector + proof_sectors as u32;

        // One run for the headers, then the segments in runs of their own.
        let (headers, segments) = elf.split_at(elf_sectors * SECTOR);
        let segments_sector = kernel_sector + elf_sectors as u32;
        let sums: Vec<u64> = checksum::chunks(headers, kernel_sector)
            .chain(checksum::chunks(segments, segments_sector))
            .map(|(first, bytes)| checksum::chunk(bytes, first))
            .collect();
        let (proof, proof_sum) = proof(&sums, proof_sector);

        let mut bytes = LOADER.to_vec();
        bytes.resize(proof_sector as usize * SECTOR, 0);
        let mut put = |address: u64, field: &[u8]| {
            bytes[(address - STAGE1_BASE) as usize..][..field.len()].copy_from_slice(field);
        };
        put(CHECKSUMS_SECTOR, &proof_sector.to_le_bytes());
        put(CHECKSUMS_SECTORS, &(proof_sectors as u32).to_le_bytes());
        put(CHECKSUMS_CHECKSUM, &proof_sum.to_le_bytes());
        put(KERNEL_SECTOR, &kernel_sector.to_le_bytes());
        put(KERNEL_SECTORS, &(sectors(elf.len()) as u32).to_le_bytes());
        put(ELF_SECTORS, &(elf_sectors as u32).to_le_bytes());
        put(ALLOW_WX, &u32::from(kernel.writable_code).to_le_bytes());
        put(STACK_PAGES, &(places.stack_pages as u32).to_le_bytes());
        put(MAX_FRAME, &places.frames().to_le_bytes());
        for (address, place) in [
            (INFO_ADDRESS, places.boot_info),
            (STACK_GUARD, places.stack),
            (PHYSICAL_OFFSET, places.physical),
        ] {
            put(address, &place.first.to_le_bytes());
            put(address + 8, &place.last.to_le_bytes());
        }

        let stage2_sum = checksum::stage2(&bytes[SECTOR..]);
        bytes[(STAGE2_CHECKSUM - STAGE1_BASE) as usize..][..4]
            .copy_from_slice(&stage2_sum.to_le_bytes());

        bytes.extend(proof);
        bytes.extend(elf);
        let used_sectors = sectors(bytes.len());
        let extent = disk::extent(bytes.len());
        disk::partition(&mut bytes[..SECTOR], extent, stage2_sum);
        bytes.resize(extent.bytes, 0);
        Ok(Image {
            bytes,
            used_sectors,
        })
    }

    /// One line about it, for who made it.
    pub fn describe(&self, path: &Path) -> String {
        format!(
            "{}: {} MiB, of which {} KiB are loaded; {} boot from a 1.44 MB floppy",
            path.display(),
            self.bytes.len() >> 20,
            self.used_sectors.div_ceil(2),
            if self.fits_floppy() {
                "can"
            } else {
                "too large to"
            },
        )
    }

    /// Does everything that is read lie on a 1.44 MB floppy disk?
    pub fn fits_floppy(&self) -> bool {
        self.used_sectors <= FLOPPY_SECTORS
    }
}

/// How many runs the reduced ELF has: one for its headers, the rest for the
/// segments.
fn elf_runs(elf: &[u8], elf_sectors: usize) -> usize {
    1 + (sectors(elf.len()) - elf_sectors).div_ceil(CHUNK_SECTORS as usize)
}

/// How many sectors the sums of so many runs take: full pieces, and what the
/// last one needs, whose last slot proves nothing.
fn proof_sectors(runs: usize) -> usize {
    let pieces = runs.div_ceil(BLOCK_CHECKSUMS as usize);
    let last = runs - (pieces - 1) * BLOCK_CHECKSUMS as usize;
    (pieces - 1) * CHUNK_SECTORS as usize + sectors(last * CHECKSUM_BYTES as usize)
}

/// The proof as it stands on the disk, and the sum of its first piece. From
/// the last piece to the first, because each holds the next one's sum.
fn proof(sums: &[u64], proof_sector: u32) -> (Vec<u8>, u64) {
    let mut proof = Vec::new();
    let mut next = None;
    for (n, piece) in sums.chunks(BLOCK_CHECKSUMS as usize).enumerate().rev() {
        let mut bytes: Vec<u8> = piece
            .iter()
            .chain(&next)
            .flat_map(|sum| sum.to_le_bytes())
            .collect();
        bytes.resize(sectors(bytes.len()) * SECTOR, 0);
        next = Some(checksum::chunk(
            &bytes,
            proof_sector + (n as u64 * CHUNK_SECTORS) as u32,
        ));
        bytes.append(&mut proof);
        proof = bytes;
    }
    (proof, next.expect("there is one run at least"))
}
