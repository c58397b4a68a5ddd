//! What is in memory: stage 2, the list of regions.

use super::{address, number};
use crate::guest::Guest;
use siso_image::SECTOR;
use siso_image::layout::*;
use std::collections::BTreeSet;
use std::io;

/// The sectors of stage 2 in memory that are not those of the disk.
pub fn stage2(guest: &mut Guest) -> io::Result<Vec<String>> {
    let after = (CHECKSUMS_SECTOR - STAGE1_BASE) as usize;
    let sectors = number(&guest.image[after..after + 4]) as usize - 1;
    let memory = guest.stub.memory(STAGE2_BASE, sectors * SECTOR)?;
    let mut lines = Vec::new();
    for (n, sector) in memory.chunks(SECTOR).enumerate() {
        let disk = &guest.image[(n + 1) * SECTOR..][..SECTOR];
        let address = STAGE2_BASE + (n * SECTOR) as u64;
        lines.push(match sector == disk {
            true => format!("memory at {address:#x} is sector {} of the disk", n + 1),
            false => format!("memory at {address:#x} is not sector {} of the disk", n + 1),
        });
    }
    // Different loaders have different numbers of sectors.
    lines.sort_by_key(|line| !line.contains(" is not "));
    lines.truncate(1);
    Ok(match lines.first() {
        Some(line) if line.contains(" is not ") => lines,
        _ => vec!["every sector of stage 2 is in memory".into()],
    })
}

/// The memory that the list of regions describes, each part once and in order: where
/// regions overlap, the kind with the higher number counts.
pub fn memory(guest: &mut Guest) -> io::Result<Vec<String>> {
    let count = address(guest, "region_count")?;
    let count = number(&guest.stub.memory(count, 4)?) as usize;
    let most = ((REGIONS_END - REGIONS_BASE) / REGION_BYTES) as usize;
    if count > most {
        return Ok(vec![format!(
            "region_count = {count}, and {most} have room"
        )]);
    }
    let bytes = guest
        .stub
        .memory(REGIONS_BASE, count * REGION_BYTES as usize)?;
    let regions: Vec<[u64; 3]> = bytes
        .chunks(REGION_BYTES as usize)
        .map(|region| [0, 4, 8].map(|at| number(&region[at..at + 4])))
        .collect();
    Ok(parts(&regions)
        .into_iter()
        .map(|[first, end, kind]| {
            let first = first << PAGE_SHIFT;
            format!(
                "memory {first:#x}..{:#x} is {}",
                end << PAGE_SHIFT,
                kind_name(kind)
            )
        })
        .collect())
}

/// The parts of all regions, sorted, with neighbours of the same kind joined.
fn parts(regions: &[[u64; 3]]) -> Vec<[u64; 3]> {
    let borders: BTreeSet<u64> = regions.iter().flat_map(|r| [r[0], r[1]]).collect();
    let borders: Vec<u64> = borders.into_iter().collect();
    let mut parts: Vec<[u64; 3]> = Vec::new();
    for pair in borders.windows(2) {
        let here = regions
            .iter()
            .filter(|r| r[0] <= pair[0] && pair[1] <= r[1]);
        let Some(kind) = here.map(|r| r[2]).max() else {
            continue;
        };
        match parts.last_mut() {
            Some(last) if last[1] == pair[0] && last[2] == kind => last[1] = pair[1],
            _ => parts.push([pair[0], pair[1], kind]),
        }
    }
    parts
}

/// The name of a kind of memory in `layout.inc`.
pub fn kind_name(kind: u64) -> String {
    match kind {
        KIND_USABLE => "usable".into(),
        KIND_RESERVED => "reserved".into(),
        KIND_ACPI => "ACPI tables".into(),
        KIND_NVS => "ACPI NVS".into(),
        KIND_BAD => "bad".into(),
        _ => format!("of kind {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_become_parts() {
        let regions = [[8, 16, 0], [0, 8, 0], [4, 6, 2], [16, 16, 1]];
        assert_eq!(parts(&regions), [[0, 4, 0], [4, 6, 2], [6, 16, 0]]);
    }
}
