//! Checks the loader's protocol point by point: the state of the CPU at entry,
//! the boot info, and the mappings.

#![no_std]
#![no_main]

mod memory;

use core::arch::x86_64::__cpuid;
use core::arch::{asm, naked_asm};
use memory::{INFO, ONE_MIB, PHYSICAL, STACK_END};
use support::boot_info::{FLAG_NX, FLAG_WX, KIND_LOADER, KIND_PAGE_TABLE};
use support::paging::PageTables;
use support::{BootInfo, expect, serial};

const CR0_PG_WP_PE: u64 = 1 << 31 | 1 << 16 | 1 << 0;
const CR0_NE_ET: u64 = 1 << 5 | 1 << 4;
const CR4_PAE: u64 = 1 << 5;
const EFER_LMA_LME: u64 = 1 << 10 | 1 << 8;
const EFER_NXE: u64 = 1 << 11;
const CODE: u64 = 0x08;
const DATA: u64 = 0x10;

/// What `sgdt` and `sidt` write, in 16 bytes.
#[repr(C, packed(2))]
struct TableRegister {
    limit: u16,
    base: u64,
    padding: [u16; 3],
}

/// The state of the CPU at entry, as `_start` pushed it; the last value is first.
#[repr(C)]
struct Entry {
    idtr: TableRegister,
    gdtr: TableRegister,
    kernel_gs_base: u64,
    gs_base: u64,
    fs_base: u64,
    efer: u64,
    ldtr: u64,
    gs: u64,
    fs: u64,
    ss: u64,
    es: u64,
    ds: u64,
    cs: u64,
    cr4: u64,
    cr0: u64,
    rdi: u64,
    rflags: u64,
    rsp: u64,
}

#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    naked_asm!(
        "push   %rsp",
        "pushfq",
        "push   %rdi",
        ".irp   register, cr0, cr4",
        "mov    %\\register, %rax",
        "push   %rax",
        ".endr",
        ".irp   register, cs, ds, es, ss, fs, gs",
        "mov    %\\register, %eax",
        "push   %rax",
        ".endr",
        "xor    %eax, %eax",
        "sldt   %ax",
        "push   %rax",
        // EFER; the bases of FS and GS; KERNEL_GS_BASE
        ".irp   msr, 0xc0000080, 0xc0000100, 0xc0000101, 0xc0000102",
        "mov    $\\msr, %ecx",
        "rdmsr",
        "shl    $32, %rdx",
        "or     %rdx, %rax",
        "push   %rax",
        ".endr",
        "sub    $16, %rsp",
        "sgdt   (%rsp)",
        "sub    $16, %rsp",
        "sidt   (%rsp)",
        "mov    %rsp, %rdi",
        "and    $-16, %rsp",
        "call   {main}",
        main = sym main,
        options(att_syntax),
    )
}

extern "C" fn main(entry: &Entry) -> ! {
    check_registers(entry);
    // SAFETY: RDI was just compared with the address of the boot info.
    let info = unsafe { &*(entry.rdi as *const BootInfo) };
    check_info(info);
    // SAFETY: the offset was just compared, and the tables do not change.
    let tables = unsafe { PageTables::new(info.physical_memory_offset) };
    check_loader(entry, info, &tables);
    memory::check_pages(info, &tables);
    memory::check_stack();
    check_selectors();
    support::report(env!("CARGO_PKG_NAME"))
}

/// Prints a register, and panics unless it has the expected value.
fn register(name: &str, actual: u64, expected: u64) {
    serial::line(format_args!("{name} {actual:#x}"));
    expect(name, actual, expected);
}

/// Whether the CPU supports no-execute pages.
fn has_nx() -> bool {
    __cpuid(0x8000_0001).edx & 1 << 20 != 0
}

fn check_registers(entry: &Entry) {
    let efer = EFER_LMA_LME | if has_nx() { EFER_NXE } else { 0 };
    serial::line(format_args!("CR0 at entry {:#x}", entry.cr0));
    register("CR0", entry.cr0 & !CR0_NE_ET, CR0_PG_WP_PE);
    register("CR4", entry.cr4, CR4_PAE);
    register("EFER", entry.efer, efer);
    register("RFLAGS", entry.rflags, 2);
    register("RDI", entry.rdi, INFO);
    register("RSP", entry.rsp, STACK_END - 8);
    register("CS", entry.cs, CODE);
    register("DS", entry.ds, 0);
    register("ES", entry.es, 0);
    register("SS", entry.ss, 0);
    register("FS", entry.fs, 0);
    register("GS", entry.gs, 0);
    register("FS base", entry.fs_base, 0);
    register("GS base", entry.gs_base, 0);
    register("KERNEL_GS base", entry.kernel_gs_base, 0);
    register("LDTR", entry.ldtr, 0);
    register("IDT limit", entry.idtr.limit.into(), 0);
}

fn check_info(info: &BootInfo) {
    let BootInfo {
        drive,
        a20,
        source,
        flags,
        ..
    } = *info;
    register("physical memory", info.physical_memory_offset, PHYSICAL);
    assert!(info.magic == *b"siso_os1", "magic {:x?}", info.magic);
    register("version", info.version.into(), 1);
    register("size", info.size.into(), size_of::<BootInfo>() as u64);
    assert!(info.command_line == [0; 2] && info.ramdisk == [0; 2]);
    serial::line(format_args!(
        "drive {drive:#x} A20 {a20} source {source:#x} flags {flags:#x}"
    ));
    assert!(matches!(drive, 0..=3 | 0x80..=0xff), "drive {drive:#x}");
    register("NX flag", (flags & FLAG_NX).into(), has_nx().into());
    register("W^X flag", (flags & FLAG_WX).into(), 0);
}

/// Checks that what remains of the loader in low memory is marked as in use.
fn check_loader(entry: &Entry, info: &BootInfo, tables: &PageTables) {
    // SAFETY: RSP was compared with the address of the stack.
    let returns_to = unsafe { *(entry.rsp as *const u64) };
    let (gdt, limit) = (entry.gdtr.base, entry.gdtr.limit);
    serial::line(format_args!(
        "[RSP] {returns_to:#x} GDT {gdt:#x} limit {limit:#x}"
    ));
    assert!(u64::from(limit) >= DATA + 7, "GDT limit {limit:#x}");
    for address in [returns_to, gdt, gdt + u64::from(limit)] {
        assert!(address < ONE_MIB, "{address:#x} is not low memory");
        assert!(
            info.kind(address) == Some(KIND_LOADER),
            "{address:#x} is not marked"
        );
    }
    let root = tables.root();
    assert!(
        info.kind(root) == Some(KIND_PAGE_TABLE),
        "CR3 {root:#x} is not marked"
    );
    for region in info.regions() {
        assert!(
            region.kind != KIND_PAGE_TABLE || region.start >= ONE_MIB / 4096,
            "page tables in frame {:#x}",
            region.start
        );
    }
}

/// Checks that the selectors of the protocol can be loaded.
fn check_selectors() {
    // SAFETY: the segments are flat, and 64-bit code can run with these CS and SS.
    unsafe {
        asm!(
            "mov    {data:e}, %ds",
            "mov    {data:e}, %es",
            "mov    {data:e}, %ss",
            "push   {code}",
            "lea    2f(%rip), {next}",
            "push   {next}",
            "lretq",
            "2:",
            data = in(reg) DATA,
            code = in(reg) CODE,
            next = out(reg) _,
            options(att_syntax),
        )
    }
}
