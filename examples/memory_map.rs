//! The memory map: what the BIOS has reported, and what is in use of it.
//!
//! `cargo run --example memory_map` shows a table: where each region starts and
//! ends, its size, and what it is. Look for what the PC itself takes below 1 MiB,
//! for the kernel at 2 MiB, and for how much is left. The serial line has all of
//! it, the screen as much as it has rows for.

#![no_std]
#![no_main]

use core::fmt::{Result, Write};
use siso_os::boot_info::Region;
use siso_os::vga::{self, Color};
use siso_os::{BootInfo, cpu, exceptions, serial};

const PAGE: u64 = 4096;
/// What the screen has room for, besides the first line and the last two.
const ROWS: usize = vga::ROWS - 3;

#[unsafe(no_mangle)]
pub extern "C" fn _start(boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    let regions = boot_info.regions();
    let _ = table(&mut serial::Writer, regions, regions.len()); // it never fails

    vga::clear();
    let mut screen = vga::Writer::new(Color::LightCyan, Color::Black);
    let _ = table(&mut screen, regions, ROWS); // nor does this
    cpu::halt()
}

fn table(to: &mut impl Write, regions: &[Region], rows: usize) -> Result {
    writeln!(
        to,
        "{:>18} {:>18} {:>12}  what",
        "start", "last byte", "KiB"
    )?;
    for region in regions.iter().take(rows) {
        let start = region.start_frame * PAGE;
        let last = region.end_frame * PAGE - 1;
        let kib = region.bytes() / 1024;
        writeln!(to, "{start:#18x} {last:#18x} {kib:12}  {:?}", region.kind)?;
    }
    if regions.len() > rows {
        let more = regions.len() - rows;
        writeln!(to, "and {more} more, on the serial line")?;
    }
    Ok(())
}
