//! Checks what is mapped where, with which rights.

use crate::{has_nx, register};
use support::boot_info::KIND_LOADER;
use support::elf::{self, PF_W, PF_X, PT_LOAD};
use support::paging::{Page, PageTables};
use support::{BootInfo, expect, serial};

const PAGE: u64 = 4096;
const TWO_MIB: u64 = 2 << 20;
const FOUR_GIB: u64 = 4 << 30;
const PML4_ENTRY: u64 = 512 << 30;

pub const ONE_MIB: u64 = 1 << 20;
pub const INFO: u64 = 0x100_0000_0000;
const STACK: u64 = INFO + 2 * PAGE; // above the guard page
pub const STACK_END: u64 = STACK + 512 * PAGE;
pub const PHYSICAL: u64 = 0x180_0000_0000;

/// What a mapped page may belong to.
#[derive(Clone, Copy)]
enum Owner {
    LowMemory,
    Info,
    Stack,
    Physical,
    Kernel,
}

/// Checks that every mapped page has an owner and the right rights.
pub fn check_pages(info: &BootInfo, tables: &PageTables) {
    let mut mapped = [0; 5];
    tables.for_each(&mut |page| {
        let Some((owner, writable, executable)) = owner(&page, info) else {
            panic!("stray page at {:#x}", page.start);
        };
        mapped[owner as usize] += page.bytes;
        let actual = (page.writable, page.executable);
        let expected = (writable, executable || !has_nx());
        let start = page.start;
        assert!(actual == expected, "page {start:#x}: (w, x) is {actual:?}");
    });
    let mapped = |owner| mapped[owner as usize];
    register(
        "low memory mapped",
        mapped(Owner::LowMemory),
        ONE_MIB - PAGE,
    );
    register("boot info mapped", mapped(Owner::Info), PAGE);
    register("stack mapped", mapped(Owner::Stack), STACK_END - STACK);
    let (physical, kernel) = (mapped(Owner::Physical), mapped(Owner::Kernel));
    serial::line(format_args!("physical memory mapped {physical:#x}"));
    serial::line(format_args!("kernel mapped {kernel:#x}"));
    for physical in (0..FOUR_GIB).step_by(TWO_MIB as usize) {
        let page = tables.page(PHYSICAL + physical);
        assert!(page.is_some(), "physical {physical:#x} is not mapped");
    }
}

/// The owner of a page, and whether it should be writable and executable.
fn owner(page: &Page, info: &BootInfo) -> Option<(Owner, bool, bool)> {
    let start = page.start;
    match start {
        PAGE..ONE_MIB => {
            expect("a page in low memory", page.physical, start);
            let loader = info.kind(start) == Some(KIND_LOADER);
            Some((Owner::LowMemory, !loader, loader))
        }
        INFO => Some((Owner::Info, true, false)),
        STACK..STACK_END => Some((Owner::Stack, true, false)),
        PHYSICAL.. if start < PHYSICAL + PML4_ENTRY => {
            expect("a page of physical memory", page.physical, start - PHYSICAL);
            Some((Owner::Physical, true, false))
        }
        _ => {
            let mut headers = elf::program_headers().iter();
            let segment = headers.find(|header| {
                let first = header.virtual_address / PAGE * PAGE;
                let end = header.virtual_address + header.mem_size;
                header.kind == PT_LOAD && (first..end).contains(&start)
            })?;
            let has = |flag| segment.flags & flag != 0;
            Some((Owner::Kernel, has(PF_W), has(PF_X)))
        }
    }
}

/// Checks that the stack is writable at both ends.
pub fn check_stack() {
    for address in [STACK, STACK_END - 8] {
        let word = address as *mut u64;
        // SAFETY: the highest word of the stack keeps its value, and the lowest
        // word is far below the part in use.
        unsafe {
            let value = word.read_volatile();
            word.write_volatile(value);
            expect("a word of the stack", word.read_volatile(), value);
        }
    }
}
