//! Walks a guest's page tables from outside, as the CPU would.
//!
//! Source: Intel SDM volume 3A, section 4.5. The rights of all levels are
//! combined: a page is writable if every entry permits it, and executable unless
//! one forbids it.

use siso_image::qemu::Machine;
use std::collections::HashMap;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const EFER_NXE: u64 = 1 << 11;

/// A mapped page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub virt: u64,
    pub phys: u64,
    /// The size in bytes: 4 KiB, 2 MiB or 1 GiB.
    pub size: u64,
    pub writable: bool,
    pub executable: bool,
}

/// All pages that the guest has mapped, sorted by virtual address.
pub struct Pages(pub Vec<Page>);

impl Pages {
    pub fn of(machine: &mut Machine) -> Self {
        let root = machine.register("CR3").expect("QEMU shows registers") & ADDRESS;
        let nxe = machine.register("EFER").expect("QEMU shows registers") & EFER_NXE != 0;
        let mut walk = Walk {
            machine,
            nxe,
            tables: HashMap::new(),
            pages: Vec::new(),
        };
        walk.table(root, 39, 0, WRITABLE);
        Pages(walk.pages)
    }

    /// The page that contains a virtual address.
    pub fn at(&self, address: u64) -> Option<Page> {
        let holds = |page: &&Page| address.wrapping_sub(page.virt) < page.size;
        self.0.iter().find(holds).copied()
    }
}

struct Walk<'a> {
    machine: &'a mut Machine,
    nxe: bool,
    tables: HashMap<u64, Vec<u64>>,
    pages: Vec<Page>,
}

impl Walk<'_> {
    /// Walks the table at `address`, whose index is at bit `shift` of a virtual
    /// address. `rights` are the rights that the levels above permit.
    fn table(&mut self, address: u64, shift: u32, base: u64, rights: u64) {
        for (index, entry) in (0u64..).zip(self.read(address)) {
            if entry & PRESENT == 0 {
                continue;
            }
            let rights = rights & entry & WRITABLE | (rights | entry) & NO_EXECUTE;
            let mut virt = base | index << shift;
            if shift == 39 && index >= 256 {
                virt |= 0xffff << 48; // canonical
            }
            if shift == 12 || shift < 39 && entry & LARGE != 0 {
                let size = 1 << shift;
                let offset = entry & ADDRESS & (size - 1);
                assert!(
                    offset == 0 && (self.nxe || entry & NO_EXECUTE == 0),
                    "reserved bit, or another memory type, at {virt:#x}"
                );
                self.pages.push(Page {
                    virt,
                    phys: entry & ADDRESS & !(size - 1),
                    size,
                    writable: rights & WRITABLE != 0,
                    executable: rights & NO_EXECUTE == 0,
                });
            } else {
                self.table(entry & ADDRESS, shift - 9, virt, rights);
            }
        }
    }

    fn read(&mut self, address: u64) -> Vec<u64> {
        let machine = &mut *self.machine;
        let read = || {
            let bytes = machine.memory(address, 4096).expect("QEMU shows memory");
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&word| u64::from_le_bytes(word))
                .collect()
        };
        self.tables.entry(address).or_insert_with(read).clone()
    }
}
