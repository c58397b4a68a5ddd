//! Segments: a code segment, and a task state segment with a separate stack for
//! double faults, so that they can be handled when the normal stack is full.

use core::cell::UnsafeCell;
use core::ops::Range;
use lazy_static::lazy_static;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;

/// Index of the stack for double faults in the interrupt stack table.
pub const DOUBLE_FAULT_IST_INDEX: u16 = 0;

const STACK_BYTES: usize = 5 * 4096;

#[repr(align(16))]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

// SAFETY: no code accesses it; only the CPU does, when it handles a double fault.
unsafe impl Sync for Stack {}

static DOUBLE_FAULT_STACK: Stack = Stack(UnsafeCell::new([0; STACK_BYTES]));

struct Selectors {
    code: SegmentSelector,
    tss: SegmentSelector,
}

lazy_static! {
    static ref TSS: TaskStateSegment = {
        let mut tss = TaskStateSegment::new();
        let stack = double_fault_stack();
        tss.interrupt_stack_table[usize::from(DOUBLE_FAULT_IST_INDEX)] = stack.end;
        tss
    };
    static ref GDT: (GlobalDescriptorTable, Selectors) = {
        let mut gdt = GlobalDescriptorTable::new();
        let code = gdt.append(Descriptor::kernel_code_segment());
        let tss = gdt.append(Descriptor::tss_segment(&TSS));
        (gdt, Selectors { code, tss })
    };
}

/// The address range of the stack for double faults.
pub fn double_fault_stack() -> Range<VirtAddr> {
    let start = VirtAddr::from_ptr(DOUBLE_FAULT_STACK.0.get());
    start..start + STACK_BYTES as u64
}

/// Replaces the loader's descriptors with this kernel's.
pub fn init() {
    let (gdt, selectors) = &*GDT;
    gdt.load();
    // SAFETY: both selectors belong to the table that was just loaded.
    unsafe {
        CS::set_reg(selectors.code);
        load_tss(selectors.tss);
    }
}
