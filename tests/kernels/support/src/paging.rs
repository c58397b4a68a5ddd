//! The active page tables, read through the mapping of physical memory.

use core::arch::asm;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

type Table = [u64; 512];

/// A mapped page.
pub struct Page {
    /// Its virtual address.
    pub start: u64,
    /// Its size: 4 KiB, 2 MiB or 1 GiB.
    pub bytes: u64,
    /// Its physical address.
    pub physical: u64,
    /// Whether all levels permit writing.
    pub writable: bool,
    /// Whether all levels permit execution.
    pub executable: bool,
}

/// The active page tables.
pub struct PageTables {
    physical_memory_offset: u64,
}

impl PageTables {
    /// The active page tables, given the address at which physical memory is mapped.
    ///
    /// # Safety
    ///
    /// Physical memory must be mapped there, and the tables must not change.
    pub unsafe fn new(physical_memory_offset: u64) -> Self {
        PageTables {
            physical_memory_offset,
        }
    }

    /// The physical address of the PML4, from CR3.
    pub fn root(&self) -> u64 {
        let cr3: u64;
        // SAFETY: reading CR3 has no side effects.
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
        let (mut page, mut level) = (self.top(), 4);
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
        self.visit_below(&self.top(), 4, visit);
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

    /// The PML4, as if it were a page with all rights.
    fn top(&self) -> Page {
        Page {
            start: 0,
            bytes: 1 << shift(5),
            physical: self.root(),
            writable: true,
            executable: true,
        }
    }

    /// What a table entry points to, with the combined rights of both.
    fn below(&self, table: &Page, level: u32, index: u64) -> Option<Below> {
        let entries = (self.physical_memory_offset + table.physical) as *const Table;
        // SAFETY: an active table, which is mapped there, as `new` requires.
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

/// The shift that moves an address's index in a table of this level to bit 0.
fn shift(level: u32) -> u32 {
    12 + 9 * (level - 1)
}
