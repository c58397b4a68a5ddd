//! The registers that control the CPU: CR0, CR3, CR4, EFER and RFLAGS.
//!
//! `cargo run --example registers` shows the bits of each, with the names from
//! the manual: first those that are set, then those that are clear. Look for PG
//! and PAE (paging with four levels), LMA (long mode), NXE and WP (no-execute
//! and write-protected pages), and IF (interrupts).
//!
//! Intel SDM volume 3A, 2.5 and 2.3, volume 4 for EFER; AMD APM volume 2, 3.1.

#![no_std]
#![no_main]

use core::fmt::{Result, Write};
use siso_os::vga::{self, Color};
use siso_os::{BootInfo, cpu, exceptions, serial};

/// A bit's number, its abbreviation, and its name.
type Bit = (u32, &'static str, &'static str);

#[rustfmt::skip]
const CR0: &[Bit] = &[
    (0, "PE", "protection enable"), (1, "MP", "monitor coprocessor"),
    (2, "EM", "emulation"), (3, "TS", "task switched"), (4, "ET", "extension type"),
    (5, "NE", "numeric error"), (16, "WP", "write protect"), (18, "AM", "alignment mask"),
    (29, "NW", "not write-through"), (30, "CD", "cache disable"), (31, "PG", "paging"),
];
#[rustfmt::skip]
const CR3: &[Bit] = &[
    (3, "PWT", "page-level write-through"), (4, "PCD", "page-level cache disable"),
];
#[rustfmt::skip]
const CR4: &[Bit] = &[
    (0, "VME", "virtual-8086 mode extensions"), (1, "PVI", "protected-mode virtual interrupts"),
    (2, "TSD", "time stamp disable"), (3, "DE", "debugging extensions"),
    (4, "PSE", "page size extensions"), (5, "PAE", "physical address extension"),
    (6, "MCE", "machine-check enable"), (7, "PGE", "page global enable"),
    (8, "PCE", "performance counter enable"), (9, "OSFXSR", "FXSAVE and SSE"),
    (10, "OSXMMEXCPT", "SSE exceptions"), (11, "UMIP", "user-mode instruction prevention"),
    (12, "LA57", "57-bit addresses"), (13, "VMXE", "VMX enable"), (14, "SMXE", "SMX enable"),
    (16, "FSGSBASE", "instructions for FS and GS"), (17, "PCIDE", "process-context identifiers"),
    (18, "OSXSAVE", "XSAVE"), (20, "SMEP", "no execution of user pages"),
    (21, "SMAP", "no access to user pages"), (22, "PKE", "protection keys for user pages"),
    (23, "CET", "control-flow enforcement"), (24, "PKS", "protection keys for kernel pages"),
];
#[rustfmt::skip]
const EFER: &[Bit] = &[
    (0, "SCE", "SYSCALL enable"), (8, "LME", "long mode enable"), (10, "LMA", "long mode active"),
    (11, "NXE", "no-execute enable"), (12, "SVME", "secure virtual machine enable"),
    (13, "LMSLE", "long mode segment limit enable"), (14, "FFXSR", "fast FXSAVE"),
    (15, "TCE", "translation cache extension"),
];
#[rustfmt::skip]
const RFLAGS: &[Bit] = &[
    (0, "CF", "carry"), (1, "1", "always set"), (2, "PF", "parity"), (4, "AF", "auxiliary carry"), (6, "ZF", "zero"),
    (7, "SF", "sign"), (8, "TF", "trap"), (9, "IF", "interrupt enable"), (10, "DF", "direction"),
    (11, "OF", "overflow"), (12, "IOPL", "I/O privilege, low bit"), (13, "IOPL", "I/O privilege, high bit"),
    (14, "NT", "nested task"), (16, "RF", "resume"), (17, "VM", "virtual-8086 mode"),
    (18, "AC", "alignment check"), (19, "VIF", "virtual interrupt"),
    (20, "VIP", "virtual interrupt pending"), (21, "ID", "CPUID available"),
];

#[unsafe(no_mangle)]
pub extern "C" fn _start(_boot_info: &'static BootInfo) -> ! {
    exceptions::init();
    vga::clear();
    let mut screen = vga::Writer::new(Color::LightCyan, Color::Black);
    let _ = show_all(&mut serial::Writer); // never fails
    let _ = show_all(&mut screen); // never fails
    cpu::halt()
}

fn show_all(to: &mut impl Write) -> Result {
    show(to, "CR0", cpu::cr0(), CR0)?;
    show(to, "CR3", cpu::cr3(), CR3)?;
    show(to, "CR4", cpu::cr4(), CR4)?;
    show(to, "EFER", cpu::efer(), EFER)?;
    show(to, "RFLAGS", cpu::rflags(), RFLAGS)
}

fn show(to: &mut impl Write, register: &str, value: u64, bits: &[Bit]) -> Result {
    writeln!(to, "{register} = {value:#x}")?;
    for (bit, short, name) in bits.iter().filter(|(bit, ..)| value >> bit & 1 != 0) {
        writeln!(to, "  bit {bit:2}  {short}: {name}")?;
    }
    write!(to, "  clear:")?;
    let mut column = 8;
    for (_, short, _) in bits.iter().filter(|(bit, ..)| value >> bit & 1 == 0) {
        if column + 1 + short.len() >= vga::COLUMNS {
            write!(to, "\n        ")?;
            column = 8;
        }
        write!(to, " {short}")?;
        column += 1 + short.len();
    }
    writeln!(to)
}
