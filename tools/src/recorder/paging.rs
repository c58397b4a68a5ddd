//! Walks page tables of four levels.

use super::cpu::{CR0_PG, Cpu};

/// The names of the levels, from the root down.
pub const LEVELS: [&str; 4] = ["PML4", "PDPT", "PD", "PT"];
/// Page-table entry: present.
pub const PTE_P: u64 = 1;
/// Page-table entry: writable.
pub const PTE_RW: u64 = 1 << 1;
/// Page-table entry: for all privilege levels.
pub const PTE_US: u64 = 1 << 2;
/// Page-table entry: a page instead of a table.
pub const PTE_PS: u64 = 1 << 7;
/// Page-table entry: execution is forbidden.
pub const PTE_XD: u64 = 1 << 63;
/// The address in a page-table entry.
pub const PTE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// A walk of the page tables for one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The entry of each level that was read: its physical address and its value.
    pub entries: Vec<(u64, u64)>,
    /// The physical address, if the address is mapped.
    pub physical: Option<u64>,
    /// Whether all levels permit writes.
    pub writable: bool,
    /// Whether all levels permit execution.
    pub executable: bool,
}

/// Translates a linear address in this state of the CPU. `read` reads a quadword
/// of physical memory.
pub fn walk(cpu: &Cpu, address: u64, mut read: impl FnMut(u64) -> Option<u64>) -> Walk {
    let mut walk = Walk {
        writable: true,
        executable: true,
        ..Walk::default()
    };
    if cpu.cr0 & CR0_PG == 0 {
        walk.physical = Some(address);
        return walk;
    }
    let mut table = cpu.cr3 & PTE_ADDRESS;
    for level in 0..4 {
        let shift = 39 - 9 * level;
        let at = table + (address >> shift & 511) * 8;
        let Some(entry) = read(at) else { return walk };
        walk.entries.push((at, entry));
        if entry & PTE_P == 0 {
            return walk;
        }
        walk.writable &= entry & PTE_RW != 0;
        walk.executable &= entry & PTE_XD == 0;
        table = entry & PTE_ADDRESS;
        if level == 3 || (level > 0 && entry & PTE_PS != 0) {
            let mask = (1 << shift) - 1;
            walk.physical = Some(table & !mask | address & mask);
            return walk;
        }
    }
    walk
}
