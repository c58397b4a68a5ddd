//! The three tables that the CPU reads: segments, task state, interrupts.
//!
//! Each is an array of atomic numbers: the CPU reads and writes them behind the
//! compiler's back. Intel SDM volume 3A, 3.4.5, 6.14 and 7.7 describe them.

use super::{COUNT, DOUBLE_FAULT, entry};
use core::arch::asm;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The descriptors of segments: null, code, data, and two places for the task
/// state segment.
static GDT: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];
/// Index of the task state segment in it.
const TSS_INDEX: usize = 3;
/// A selector is the offset in the GDT. Those of code and data are the same as
/// in the loader's table.
const CODE: u16 = 8;
const TASK_STATE: u16 = 8 * TSS_INDEX as u16;

/// The task state segment: in long mode, a table of stacks.
static TSS: [AtomicU32; 26] = [const { AtomicU32::new(0) }; 26];
/// Index of the first stack of the interrupt stack table: two places.
const TSS_IST1: usize = 9;
/// Index of the offset of the I/O permissions, in the upper half.
const TSS_IO_MAP: usize = 25;

/// The gates of interrupts, two places each.
static IDT: [AtomicU64; 2 * COUNT] = [const { AtomicU64::new(0) }; 2 * COUNT];

/// The double fault's own stack: 16 KiB. The usual one may be full.
static STACK: [AtomicU64; 2048] = [const { AtomicU64::new(0) }; 2048];

/// Descriptor: it is there.
const PRESENT: u64 = 1 << 47;
/// Descriptor: code or data; the CPU's own things have 0 here.
const CODE_OR_DATA: u64 = 1 << 44;
/// Segment: code.
const EXECUTABLE: u64 = 1 << 43;
/// Segment: data may be written, code may be read.
const WRITABLE: u64 = 1 << 41;
/// Segment: it was used; the CPU sets it where it is clear.
const ACCESSED: u64 = 1 << 40;
/// Segment: 64-bit code.
const LONG: u64 = 1 << 53;
/// Descriptor: a task state segment that nobody uses yet.
const AVAILABLE_TSS: u64 = 0x9 << 40;
/// Gate: interrupts are off in the handler.
const INTERRUPT_GATE: u64 = 0xe << 40;

/// Fills the tables and gives them to the CPU.
pub fn load() {
    fill_gdt();
    fill_tss();
    for (vector, gate) in IDT.as_chunks().0.iter().enumerate() {
        let stack = (vector as u64 == DOUBLE_FAULT).into();
        set_gate(gate, entry::address(vector), stack);
    }
    // SAFETY: the tables are static and filled. The new code segment is what
    // the old one is; the data segments stay null, which 64-bit code may do.
    unsafe {
        asm!("lgdt [{}]", in(reg) &Pointer::to(&GDT), options(readonly, nostack));
        asm!(
            "push {code}",
            "lea {address}, [rip + 2f]",
            "push {address}",
            "retfq", // a far jump: CS is loaded by nothing else
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
    for (place, descriptor) in GDT.iter().zip(descriptors) {
        place.store(descriptor, Ordering::Relaxed);
    }
}

fn fill_tss() {
    let top = STACK.as_ptr_range().end as u64;
    TSS[TSS_IST1].store(top as u32, Ordering::Relaxed);
    TSS[TSS_IST1 + 1].store((top >> 32) as u32, Ordering::Relaxed);
    // Behind the segment's end: no program gets at any port.
    TSS[TSS_IO_MAP].store((size_of_val(&TSS) as u32) << 16, Ordering::Relaxed);
}

/// A gate for an exception: `stack` is 0 for the stack in use, or the number
/// of one in the interrupt stack table.
fn set_gate(gate: &[AtomicU64; 2], entry: u64, stack: u64) {
    let low = entry & 0xffff | u64::from(CODE) << 16 | stack << 32;
    let low = low | PRESENT | INTERRUPT_GATE | (entry >> 16 & 0xffff) << 48;
    gate[0].store(low, Ordering::Relaxed);
    gate[1].store(entry >> 32, Ordering::Relaxed);
}

/// Where a table is, as LGDT and LIDT want to be told.
#[repr(C, packed)]
struct Pointer {
    /// Bytes, less one.
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
