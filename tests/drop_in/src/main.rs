//! A kernel that checks what the `bootloader` crate 0.9 promises with the features
//! that are on, and reports what it finds besides: under that crate's own loader
//! and under another one, the reports must be the same.

#![feature(thread_local)]
#![no_std]
#![no_main]

use bootloader::bootinfo::{
    MemoryRegion,
    MemoryRegionType::{BootInfo as Info, Kernel, KernelStack, PageTable, Usable},
};
use bootloader::{BootInfo, entry_point};
use core::arch::asm;
use core::cell::Cell;
use core::hint::black_box;
use core::slice;
use support::{expect, serial};

macro_rules! report {
    ($($part:tt)*) => { serial::line(format_args!($($part)*)) };
}

/// The instruction RET.
const RET: u8 = 0xc3;
const PRESENT: u64 = 1;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// The PML4 entry of a page that the crate's loader maps for a moment; its tables
/// stay, empty.
const LEFTOVER: usize = 31;
const TEXT: u64 = 0xb8000;
const WORD: u64 = 0x0123_4567_89ab_cdef;

#[thread_local]
static INITIALISED: Cell<u64> = Cell::new(WORD);

#[thread_local]
static ZERO: Cell<u64> = Cell::new(0);

/// Makes the kernel larger than its file.
static mut BSS: [u8; 3 << 12] = [0; 3 << 12];

entry_point!(main);

fn main(info: &'static BootInfo) -> ! {
    screen();
    registers();
    boot_info(info);
    memory_map(info);
    stack(info);
    let table = first_tables(info);
    features(info, table);
    thread_local_storage(info);
    for byte in slice_of(&raw mut BSS) {
        expect("a byte of .bss", (*byte).into(), 0);
    }
    support::report(env!("CARGO_PKG_NAME"))
}

fn slice_of(array: *mut [u8; 3 << 12]) -> &'static [u8] {
    // SAFETY: nothing writes to it.
    unsafe { &*array }
}

/// What is on the screen, and in which mode it is.
fn screen() {
    let mode: u8;
    // SAFETY: index 6 of the graphics controller says where video memory is; its
    // other registers are of no interest here.
    unsafe {
        asm!("out dx, al", in("dx") 0x3ce_u16, in("al") 6_u8, options(nomem, nostack));
        asm!("in al, dx", in("dx") 0x3cf_u16, out("al") mode, options(nomem, nostack));
    }
    report!("video memory: {:#x}", mode & 0xf);
    if cfg!(feature = "vga_320x200") {
        // SAFETY: the loader maps it; every pixel is a byte.
        let pixels = unsafe { slice::from_raw_parts(0xa0000 as *const u8, 320 * 200) };
        assert!(pixels.iter().all(|pixel| *pixel == 0), "not all is black");
    } else {
        // SAFETY: the loader maps it; every cell is a character and its colours.
        let cells = unsafe { slice::from_raw_parts(TEXT as *const u16, 80 * 25) };
        let (first, second) = cells.split_at(1000);
        report!("cells: {:#06x}, {:#06x}", first[0], second[0]);
        assert!(first.iter().all(|cell| *cell == first[0]), "first half");
        assert!(second.iter().all(|cell| *cell == second[0]), "second half");
        let cursor = |index: u8| {
            let value: u8;
            // SAFETY: it reads where the cursor is, and changes nothing.
            unsafe {
                asm!("out dx, al", in("dx") 0x3d4_u16, in("al") index, options(nomem, nostack));
                asm!("in al, dx", in("dx") 0x3d5_u16, out("al") value, options(nomem, nostack));
            }
            value
        };
        report!("cursor: {} {}", cursor(0xe), cursor(0xf));
    }
}

fn registers() {
    let (cr0, cr4, flags): (u64, u64, u64);
    let (cs, ss): (u16, u16);
    let efer: u32;
    let mut idt = [0_u16; 5];
    // SAFETY: it reads registers.
    unsafe {
        asm!("mov {}, cr0", "mov {}, cr4", out(reg) cr0, out(reg) cr4, options(nomem, nostack));
        asm!("pushfq", "pop {}", out(reg) flags);
        asm!("mov {:x}, cs", "mov {:x}, ss", out(reg) cs, out(reg) ss, options(nomem, nostack));
        asm!("rdmsr", in("ecx") 0xc000_0080_u32, out("eax") efer, out("edx") _);
        asm!("sidt [{}]", in(reg) &mut idt);
    }
    report!("cr0 {cr0:#x}, cr4 {cr4:#x}, efer {efer:#x}");
    report!("cs {cs:#x}, ss {ss:#x}, idt limit {}", idt[0]);
    expect("IF and DF", flags & 0x600, 0);
}

fn boot_info(info: &'static BootInfo) {
    report!(
        "boot info: {:#x}, {} bytes",
        &raw const *info as u64,
        size_of::<BootInfo>()
    );
    // The last byte of the structure, which the crate prints as well.
    let bytes = &raw const *info as *const u8;
    // SAFETY: the structure has that many bytes.
    let last = unsafe { bytes.add(size_of::<BootInfo>() - 8).read() };
    expect("the byte after the last field", last.into(), 0);
}

/// The memory map: what a kernel may look for in it.
fn memory_map(info: &BootInfo) {
    let mut end = 0;
    for region in info.memory_map.iter() {
        assert!(region.range.start_frame_number >= end, "regions overlap");
        end = region.range.end_frame_number;
        assert!(end > region.range.start_frame_number, "an empty region");
    }
    let usable = info.memory_map.iter().filter(|it| it.region_type == Usable);
    let high = usable.filter(|it| it.range.start_addr() >= 1 << 20);
    let sizes = high.map(|it| it.range.end_addr() - it.range.start_addr());
    let largest = sizes.clone().enumerate().max_by_key(|(_, size)| *size);
    report!(
        "usable regions above 1 MiB: {}; the largest: {:?}",
        sizes.count(),
        largest.map(|(n, _)| n)
    );
    for kind in [Info, Kernel, KernelStack, PageTable] {
        let mut regions = info.memory_map.iter();
        assert!(regions.any(|it| it.region_type == kind), "no {kind:?}");
    }
    expect(
        "the kind of frame 0",
        info.memory_map[0].region_type as u64,
        10,
    );
}

/// Where the stack ends; code can run on it.
fn stack(info: &BootInfo) {
    let on_stack = [RET; 16];
    let here = &raw const on_stack as u64;
    let distance = (here | 0xfff) + 1 - &raw const *info as u64;
    report!("stack: ends {distance:#x} after the boot info begins");
    run(black_box(here));
}

/// Calls an address at which there is a RET.
fn run(address: u64) {
    // SAFETY: RET changes nothing.
    unsafe { asm!("call {}", in(reg) address, clobber_abi("C")) }
}

/// The page tables of the first 2 MiB, at their physical addresses, before any other
/// address of the boot info is used. The memory map says what they are.
fn first_tables(info: &BootInfo) -> &'static [u64; 512] {
    let root: u64;
    // SAFETY: reading CR3 has no side effects.
    unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack)) }
    // SAFETY: under the crate's loader these tables are mapped to themselves.
    let table = |entry: u64| unsafe { &*((entry & ADDRESS) as *const [u64; 512]) };
    let top = table(root);
    for n in (0..512).filter(|n| top[*n] & PRESENT != 0 && *n != LEFTOVER) {
        report!("PML4 entry: {n}");
    }
    let pointers = table(top[0]);
    let directory = table(pointers[0]);
    let pages = table(directory[0]);
    for entry in [top[0], pointers[0], directory[0]] {
        let mut regions = info.memory_map.iter();
        let frame = (entry & ADDRESS) >> 12;
        let holds = |it: &&MemoryRegion| {
            (it.range.start_frame_number..it.range.end_frame_number).contains(&frame)
        };
        let kind = regions.find(holds).map(|it| it.region_type);
        assert!(kind == Some(PageTable), "frame {frame:#x} is {kind:?}");
    }
    for page in [
        0, 1, 8, 0xf, 0x14, 0x20, 0x9f, 0xa0, 0xb8, 0xbf, 0xc0, 0xf0, 0xff,
    ] {
        let entry = pages[page];
        let seen = (entry & PRESENT != 0).then_some(entry & ADDRESS);
        report!("page {page:#x}: {seen:x?}");
    }
    let low = 0xb000 as *mut u8;
    // SAFETY: the loader that was there has done its work.
    unsafe { low.write_volatile(RET) }
    run(low as u64);
    top
}

/// What each feature adds.
fn features(info: &BootInfo, top: &'static [u64; 512]) {
    let _ = (info, top);
    #[cfg(feature = "recursive_page_table")]
    {
        report!("recursive: {:#x}", info.recursive_page_table_addr);
        let same = info.recursive_page_table_addr as *const [u64; 512];
        // SAFETY: the PML4, which nothing changes.
        let same = unsafe { &*same };
        let index = usize::from(info.recursive_index());
        expect(
            "the PML4's own entry",
            same[index] & ADDRESS,
            &raw const *top as u64,
        );
        // But for bits that the CPU sets: accessed.
        assert!(
            (0..512).all(|n| (same[n] ^ top[n]) & !0x20 == 0),
            "another table"
        );
    }
    #[cfg(feature = "map_physical_memory")]
    {
        use support::paging::PageTables;
        let offset = info.physical_memory_offset;
        report!("physical memory: {offset:#x}");
        // SAFETY: the offset comes from the loader, and its page tables do not change.
        let tables = unsafe { PageTables::new(offset) };
        let physical = |address: u64| tables.physical(address as *const u8);
        for address in [0, TEXT, 1 << 20, (4 << 30) - 1] {
            expect(
                "physical memory",
                physical(offset + address).unwrap_or(1),
                address,
            );
        }
        let on_stack = 0_u8;
        let (start, stack) = (&raw const *info as u64, &raw const on_stack as u64);
        let mut guard = stack & !0xfff;
        let mut pages = 0;
        while physical(guard).is_some() {
            guard -= 4096;
            pages += 1;
        }
        report!("guard page: {guard:#x}, below {pages} pages of the stack");
        for (what, address) in [("boot info", start), ("stack", stack), ("window", offset)] {
            let page = tables.page(address).expect("it is mapped");
            report!(
                "{what}: writable {}, executable {}",
                page.writable,
                page.executable
            );
        }
        let regions = info.memory_map.iter().rev();
        let usable = regions
            .filter(|it| it.region_type == Usable)
            .map(|it| it.range.start_addr());
        let place = (offset + usable.max().expect("usable memory")) as *mut u8;
        // SAFETY: usable memory is the kernel's.
        unsafe { place.write_volatile(RET) }
        run(place as u64);
    }
    #[cfg(feature = "sse")]
    {
        let words = [1_u32, 2, 3, 4];
        let mut sums = [0_u32; 4];
        // SAFETY: the feature says that SSE may be used.
        unsafe {
            asm!("movups xmm0, [{0}]", "paddd xmm0, xmm0", "movups [{1}], xmm0",
                 in(reg) &words, in(reg) &mut sums, out("xmm0") _);
        }
        assert!(sums == [2, 4, 6, 8], "SSE adds wrong: {sums:?}");
    }
}

/// The template of thread-local storage, whatever field comes before it.
fn thread_local_storage(info: &BootInfo) {
    let template = info.tls_template().expect("a template");
    report!("TLS: {} of {} bytes", template.file_size, template.mem_size);
    // SAFETY: it is in the kernel.
    let word = unsafe { (template.start_addr as *const u64).read() };
    expect("the thread-local word", word, WORD);
    let mut thread = [0_u64, 0, 0];
    thread[0] = WORD;
    thread[2] = &raw const thread[2] as u64;
    let base = thread[2];
    // SAFETY: FS has no other use here; the variables end where its base points.
    unsafe {
        asm!("wrmsr", in("ecx") 0xc000_0100_u32, in("eax") base as u32, in("edx") (base >> 32) as u32);
    }
    expect("INITIALISED", black_box(&INITIALISED).get(), WORD);
    expect("ZERO", black_box(&ZERO).get(), 0);
}
