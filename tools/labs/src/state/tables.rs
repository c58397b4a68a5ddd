//! What page tables map.

use super::{address, number};
use crate::guest::Guest;
use siso_image::layout::PAGE_BYTES;
use siso_image::recorder::cpu::Cpu;
use siso_image::recorder::paging::{PTE_ADDRESS, PTE_P, PTE_PS, PTE_RW, PTE_XD};
use std::io;

/// The most lines: wrong tables may map anything.
const LINES: usize = 200;
/// The most tables that are read.
const TABLES: usize = 200;

/// A part of virtual memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    first: u64,
    end: u64,
    physical: u64,
    writable: bool,
    executable: bool,
    /// The bytes of its pages.
    page: u64,
}

/// What the CPU's own tables map.
pub fn low(guest: &mut Guest, cpu: &Cpu) -> io::Result<Vec<String>> {
    walk(guest, cpu.cr3 & PTE_ADDRESS)
}

/// What the tables map that the kernel will get.
pub fn kernel(guest: &mut Guest) -> io::Result<Vec<String>> {
    let root = address(guest, "page_root")?;
    let root = number(&guest.stub.memory(root, 4)?);
    walk(guest, root)
}

fn walk(guest: &mut Guest, root: u64) -> io::Result<Vec<String>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut left = TABLES;
    table(guest, root, 3, 0, (true, true), &mut parts, &mut left)?;
    let mut lines: Vec<String> = parts.iter().map(line).collect();
    if left == 0 {
        lines.push(format!("there are more than {TABLES} page tables"));
    }
    lines.truncate(LINES);
    Ok(lines)
}

/// Reads a table of a level, 3 for the PML4, that maps memory from an address on.
fn table(
    guest: &mut Guest,
    at: u64,
    level: u32,
    from: u64,
    rights: (bool, bool),
    parts: &mut Vec<Part>,
    left: &mut usize,
) -> io::Result<()> {
    if *left == 0 {
        return Ok(());
    }
    *left -= 1;
    let bytes = match guest.stub.memory(at, PAGE_BYTES as usize) {
        Ok(bytes) => bytes,
        Err(_) => return Ok(()), // no memory there
    };
    let page = PAGE_BYTES << (9 * level);
    for (n, entry) in bytes.chunks(8).map(number).enumerate() {
        if entry & PTE_P == 0 {
            continue;
        }
        let mut first = from + n as u64 * page;
        if level == 3 && n >= 256 {
            first |= 0xffff << 48;
        }
        let writable = rights.0 && entry & PTE_RW != 0;
        let executable = rights.1 && entry & PTE_XD == 0;
        let physical = entry & PTE_ADDRESS;
        let is_page = level == 0 || (level < 3 && entry & PTE_PS != 0);
        if !is_page {
            let rights = (writable, executable);
            table(guest, physical, level - 1, first, rights, parts, left)?;
            continue;
        }
        let part = Part {
            first,
            end: first.wrapping_add(page),
            physical: physical & !(page - 1),
            writable,
            executable,
            page,
        };
        match parts.last_mut() {
            Some(last) if continues(last, &part) => last.end = part.end,
            _ => parts.push(part),
        }
    }
    Ok(())
}

/// Whether a part goes on where another one ends, in the same way.
fn continues(last: &Part, part: &Part) -> bool {
    let length = last.end.wrapping_sub(last.first);
    last.end == part.first
        && last.physical.wrapping_add(length) == part.physical
        && (last.writable, last.executable, last.page)
            == (part.writable, part.executable, part.page)
}

fn line(part: &Part) -> String {
    let rights = match (part.writable, part.executable) {
        (false, false) => "read-only",
        (true, false) => "writable",
        (false, true) => "executable",
        (true, true) => "writable and executable",
    };
    let page = match part.page >> 10 {
        4 => "4 KiB",
        2048 => "2 MiB",
        _ => "1 GiB",
    };
    format!(
        "virtual {:#x}..{:#x} is physical {:#x}, {rights}, in pages of {page}",
        part.first, part.end, part.physical
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_continue_only_in_the_same_way() {
        let one = Part {
            first: 0x1000,
            end: 0x3000,
            physical: 0x1000,
            writable: true,
            executable: false,
            page: 0x1000,
        };
        let next = Part {
            first: 0x3000,
            end: 0x4000,
            physical: 0x3000,
            ..one.clone()
        };
        assert!(continues(&one, &next));
        let elsewhere = Part {
            physical: 0x4000,
            ..next.clone()
        };
        assert!(!continues(&one, &elsewhere));
        let code = Part {
            executable: true,
            ..next
        };
        assert!(!continues(&one, &code));
        let text = "virtual 0x1000..0x3000 is physical 0x1000, writable, in pages of 4 KiB";
        assert_eq!(line(&one), text);
    }
}
