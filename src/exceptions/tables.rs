//! The three tables that the CPU reads: the GDT, the TSS and the IDT.
//!
//! Each is an array of atomic numbers, because the CPU reads and writes them
//! without the compiler's knowledge. See Intel SDM volume 3A, 3.4.5, 6.14 and
//! 7.7.

use super::{COUNT, DOUBLE_FAULT, entry};
use core::arch::asm;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The global descriptor table: null, code, data, and two entries for the task
/// state segment.
static GDT: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];
/// Index of the task state segment in the GDT.
const TSS_INDEX: usize = 3;
/// A selector is an offset in the GDT. The selectors of code and data are the
/// same as in the loader's GDT.
const CODE: u16 = 8;
const TASK_STATE: u16 = 8 * TSS_INDEX as u16;

/// The task state segment: in long mode, a table of stacks.
static TSS: [AtomicU32; 26] = [const { AtomicU32::new(0) }; 26];
/// Index of the first stack in the interrupt stack table; takes two entries.
const TSS_IST1: usize = 9;
/// Index of the offset of the I/O permission bitmap, which is in the upper half.
const TSS_IO_MAP: usize = 25;

/// The interrupt descriptor table; each gate takes two entries.
static IDT: [AtomicU64; 2 * COUNT] = [const { AtomicU64::new(0) }; 2 * COUNT];

/// The stack for double faults: 16 KiB. The normal stack may be full.
static DOUBLE_FAULT_STACK: [AtomicU64; 2048] = [const { AtomicU64::new(0) }; 2048];

/// Descriptor: present.
const PRESENT: u64 = 1 << 47;
/// Descriptor: code or data; clear for system descriptors.
const CODE_OR_DATA: u64 = 1 << 44;
/// Segment: code.
const EXECUTABLE: u64 = 1 << 43;
/// Segment: data is writable, code is readable.
const WRITABLE: u64 = 1 << 41;
/// Segment: accessed; otherwise the CPU would set this bit itself.
const ACCESSED: u64 = 1 << 40;
/// Segment: 64-bit code.
const LONG: u64 = 1 << 53;
/// Descriptor: a task state segment that is not in use yet.
const AVAILABLE_TSS: u64 = 0x9 << 40;
/// Gate: interrupts are disabled in the handler.
const INTERRUPT_GATE: u64 = 0xe << 40;

/// Fills the tables and loads them into the CPU.
pub fn load() {
    fill_gdt();
    fill_tss();
    for (vector, gate) in IDT.as_chunks().0.iter().enumerate() {
        let stack = (vector as u64 == DOUBLE_FAULT).into();
        set_gate(gate, entry::address(vector), stack);
    }
    // SAFETY: the tables are static and filled. The new code segment equals the
    // old one. The data segments stay null, which 64-bit code allows.
    unsafe {
        asm!("lgdt [{}]", in(reg) &Pointer::to(&GDT), options(readonly, nostack));
        asm!(
            "push {code}",
            "lea {address}, [rip + 2f]",
            "push {address}",
            "retfq", // a far return, to load CS
            "2:",
            code = const CODE,
            address = out(reg) _,
        );
        asm!("ltr {:x}", in(reg) TASK_STATE, options(nostack));
        asm!("lidt [{}]", in(reg) &Pointer::to(&IDT), options(readonly, nostack));
    }
}

fn fill_gdt() {
    let segment = PRESENT | CODE_OR_DATA | WRITABLE | ACCESSED;
    let base = TSS.as_ptr() as u64;
    let limit = size_of_val(&TSS) as u64 - 1;
    let tss =
        PRESENT | AVAILABLE_TSS | limit | (base & 0xff_ffff) << 16 | (base >> 24 & 0xff) << 56;
    let descriptors = [0, segment | EXECUTABLE | LONG, segment, tss, base >> 32];
    for (entry, descriptor) in GDT.iter().zip(descriptors) {
        entry.store(descriptor, Ordering::Relaxed);
    }
}

fn fill_tss() {
    let top = DOUBLE_FAULT_STACK.as_ptr_range().end as u64;
    TSS[TSS_IST1].store(top as u32, Ordering::Relaxed);
    TSS[TSS_IST1 + 1].store((top >> 32) as u32, Ordering::Relaxed);
    // Past the segment's end: there is no bitmap, so no port is permitted.
    TSS[TSS_IO_MAP].store((size_of_val(&TSS) as u32) << 16, Ordering::Relaxed);
}

/// Sets the gate of an exception. `stack` is 0 for the current stack, or the
/// number of a stack in the interrupt stack table.
fn set_gate(gate: &[AtomicU64; 2], entry: u64, stack: u64) {
    let low = entry & 0xffff | u64::from(CODE) << 16 | stack << 32;
    let low = low | PRESENT | INTERRUPT_GATE | (entry >> 16 & 0xffff) << 48;
    gate[0].store(low, Ordering::Relaxed);
    gate[1].store(entry >> 32, Ordering::Relaxed);
}

/// The address of a table, as LGDT and LIDT read it.
#[repr(C, packed)]
struct Pointer {
    /// Size in bytes, minus one.
    limit: u16,
    base: u64,
}

impl Pointer {
    fn to<T>(table: &'static [T]) -> Self {
        Pointer {
            limit: size_of_val(table) as u16 - 1,
            base: table.as_ptr() as u64,
        }
    }
}
