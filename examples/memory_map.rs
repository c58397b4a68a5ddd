//! The memory map: the memory that the BIOS reported, and which of it is in use.
//!
//! `cargo run --example memory_map` shows a table: the first and last address of
//! each region, its size, and its kind. Look for the regions below 1 MiB that
//! belong to the PC, for the kernel at 2 MiB, and for how much is usable. The
//! serial line shows the whole table, the screen as much as fits.

#![no_std]
#![no_main]

use core::fmt::{Result, Write};
use siso_os::boot_info::Region;
use siso_os::vga::{self, Color};
use siso_os::{BootInfo, cpu, exceptions, serial};

const PAGE: u64 = 4096;
/// The regions that fit on the screen, besides the first row and the last two.
const ROWS: usize = vga::ROWS - 3;

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    let regions = boot_info.regions();
    let _ = table(&mut serial::Writer, regions, regions.len()); // never fails

    vga::clear();
    let mut screen = vga::Writer::new(Color::LightCyan, Color::Black);
    let _ = table(&mut screen, regions, ROWS); // never fails
    cpu::halt()
}

fn table(to: &mut impl Write, regions: &[Region], rows: usize) -> Result {
    writeln!(
        to,
        "{:>18} {:>18} {:>12}  kind",
        "first address", "last address", "KiB"
    )?;
    for region in regions.iter().take(rows) {
        let first = region.start_frame * PAGE;
        let last = region.end_frame * PAGE - 1;
        let kib = region.bytes() / 1024;
        writeln!(to, "{first:#18x} {last:#18x} {kib:12}  {:?}", region.kind)?;
    }
    if regions.len() > rows {
        let more = regions.len() - rows;
        writeln!(to, "and {more} more, on the serial line")?;
    }
    Ok(())
}
