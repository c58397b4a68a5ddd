//! The page tables in use, seen through the mapping of physical memory.

use core::arch::asm;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

type Table = [u64; 512];

/// A page that is mapped.
pub struct Page {
    /// Its virtual address.
    pub start: u64,
    /// Its size: 4 KiB, 2 MiB or 1 GiB.
    pub bytes: u64,
    /// Its physical address.
    pub physical: u64,
    /// Whether all levels allow to write.
    pub writable: bool,
    /// Whether all levels allow to execute.
    pub executable: bool,
}

/// The page tables in use.
pub struct PageTables {
    physical_memory_offset: u64,
}

impl PageTables {
    /// The page tables, given where physical memory is mapped.
    ///
    /// # Safety
    ///
    /// It must really be mapped there, and the tables must not change.
    pub unsafe fn new(physical_memory_offset: u64) -> Self {
        PageTables {
            physical_memory_offset,
        }
    }

    /// Physical address of the root, CR3.
    pub fn root(&self) -> u64 {
        let cr3: u64;
        // SAFETY: reading CR3 changes nothing.
        unsafe { asm!("mov {}, cr3", out(reg) cr3, options(nomem, nostack)) }
        cr3 & ADDRESS
    }

    /// The physical address of what a pointer points to.
    pub fn physical<T>(&self, pointer: *const T) -> Option<u64> {
        let page = self.page(pointer as u64)?;
        Some(page.physical + (pointer as u64 - page.start))
    }

    /// The page of a virtual address.
    pub fn page(&self, address: u64) -> Option<Page> {
        let (mut page, mut level) = (self.whole(), 4);
        loop {
            let index = address >> shift(level) & 511;
            match self.below(&page, level, index)? {
                Below::Page(found) => return Some(found),
                Below::Table(table) => (page, level) = (table, level - 1),
            }
        }
    }

    /// Visits every page.
    pub fn for_each(&self, visit: &mut dyn FnMut(Page)) {
        self.visit_below(&self.whole(), 4, visit);
    }

    fn visit_below(&self, table: &Page, level: u32, visit: &mut dyn FnMut(Page)) {
        for index in 0..512 {
            match self.below(table, level, index) {
                Some(Below::Page(page)) => visit(page),
                Some(Below::Table(table)) => self.visit_below(&table, level - 1, visit),
                None => {}
            }
        }
    }

    /// The root table, as if it were a page with all rights.
    fn whole(&self) -> Page {
        Page {
            start: 0,
            bytes: 1 << shift(5),
            physical: self.root(),
            writable: true,
            executable: true,
        }
    }

    /// What the entry of a table leads to, with the rights of both.
    fn below(&self, table: &Page, level: u32, index: u64) -> Option<Below> {
        let entries = (self.physical_memory_offset + table.physical) as *const Table;
        // SAFETY: a table in use, at a place that is mapped, as `new` demands.
        let entry = unsafe { (*entries)[index as usize] };
        let start = table.start + (index << shift(level));
        let page = Page {
            start: ((start as i64) << 16 >> 16) as u64, // bits 63 to 48 repeat bit 47
            bytes: 1 << shift(level),
            physical: entry & ADDRESS,
            writable: table.writable && entry & WRITABLE != 0,
            executable: table.executable && entry & NO_EXECUTE == 0,
        };
        if entry & PRESENT == 0 {
            None
        } else if level == 1 || entry & LARGE != 0 {
            Some(Below::Page(page))
        } else {
            Some(Below::Table(page))
        }
    }
}

enum Below {
    Page(Page),
    Table(Page),
}

/// How far to shift an address to the right for its index in a table.
fn shift(level: u32) -> u32 {
    12 + 9 * (level - 1)
}
