//! The page tables, walked as the CPU walks them.
//!
//! `cargo run --example page_tables` walks the four levels, starting at CR3, and
//! shows what is mapped where, with which rights: r read, w write, x execute.
//! Look for what is missing: page 0, the guard page below the stack, and any page
//! that is both writable and executable. The serial line shows the whole table,
//! the screen as much as fits.
//!
//! Intel SDM volume 3A, 4.5, describes the entries.

#![no_std]
#![no_main]

use core::fmt::Arguments;
use siso_os::{BootInfo, cpu, exceptions, println, serial_println, vga};

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
/// In a PDPT or a PD: the entry maps a large page instead of a table.
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
/// The physical address in an entry.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Adjacent pages of the same size with the same rights.
struct Range {
    virt: u64,
    phys: u64,
    bytes: u64,
    page: u64,
    writable: bool,
    executable: bool,
}

/// The state of the walk: where physical memory is mapped, the range that may
/// still grow, and the number of rows shown so far.
struct Walk {
    physical: u64,
    range: Option<Range>,
    rows: usize,
}

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    vga::clear();
    let mut walk = Walk {
        physical: boot_info.physical_memory_offset,
        range: None,
        rows: 0,
    };
    walk.row(format_args!(
        "{:37}  {:12}  {:5}  rights",
        "virtual addresses", "physical", "pages"
    ));
    walk.table(cpu::cr3() & ADDRESS, 4, 0, WRITABLE);
    walk.show();
    cpu::halt()
}

impl Walk {
    /// Walks a table of this level, from 4 (PML4) to 1 (PT); `rights` are those
    /// that the levels above permit.
    fn table(&mut self, phys: u64, level: u32, base: u64, rights: u64) {
        let table = (self.physical + phys) as *const u64;
        let shift = 12 + 9 * (level - 1);
        for index in 0..512 {
            // SAFETY: the tables are in physical memory, which is mapped at
            // `physical`.
            let entry = unsafe { table.add(index as usize).read_volatile() };
            if entry & PRESENT == 0 {
                continue;
            }
            // Writable if every level says so, executable unless a level forbids it.
            let rights = rights & entry & WRITABLE | (rights | entry) & NO_EXECUTE;
            // The upper 16 bits of an address repeat bit 47.
            let virt = ((base | index << shift) << 16) as i64 >> 16;
            if level == 1 || entry & LARGE != 0 {
                let page = 1 << shift;
                self.page(Range {
                    virt: virt as u64,
                    phys: entry & ADDRESS & !(page - 1),
                    bytes: page,
                    page,
                    writable: rights & WRITABLE != 0,
                    executable: rights & NO_EXECUTE == 0,
                });
            } else {
                self.table(entry & ADDRESS, level - 1, virt as u64, rights);
            }
        }
    }

    /// Adds a page to the current range, or starts a new range.
    fn page(&mut self, page: Range) {
        match &mut self.range {
            Some(range) if range.continues_with(&page) => range.bytes += page.bytes,
            _ => {
                self.show();
                self.range = Some(page);
            }
        }
    }

    /// Shows the current range, which is complete.
    fn show(&mut self) {
        let Some(range) = self.range.take() else {
            return;
        };
        let (virt, last, phys) = (range.virt, range.virt + (range.bytes - 1), range.phys);
        let (size, unit) = match range.page {
            0x1000 => (4, "KiB"),
            0x20_0000 => (2, "MiB"),
            _ => (1, "GiB"),
        };
        let w = if range.writable { 'w' } else { '-' };
        let x = if range.executable { 'x' } else { '-' };
        self.row(format_args!(
            "{virt:#018x}-{last:#018x}  {phys:#012x}  {size} {unit}  r{w}{x}"
        ));
    }

    /// Prints a row to the serial line and, while there is room, to the screen.
    fn row(&mut self, row: Arguments) {
        serial_println!("{row}");
        self.rows += 1;
        match vga::ROWS - 1 {
            last if self.rows < last => println!("{row}"),
            last if self.rows == last => println!("and more, on the serial line"),
            _ => (),
        }
    }
}

impl Range {
    fn continues_with(&self, page: &Range) -> bool {
        page.virt == self.virt.wrapping_add(self.bytes)
            && page.phys == self.phys + self.bytes
            && (page.page, page.writable, page.executable)
                == (self.page, self.writable, self.executable)
    }
}
