//! A kernel that returns must end in the loader's halt loop, and stay there: an NMI
//! ends the HLT. Each NMI counts up the digit at the end of row 0.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering};

// Row 0 of the screen, column 79.
global_asm!(
    ".globl on_nmi",
    "on_nmi: incb ({digit})",
    "iretq",
    digit = const DIGIT,
    options(att_syntax)
);

const DIGIT: usize = 0xb8000 + 79 * 2;
/// An interrupt gate, as the lower half of a descriptor; the kernel's CS is 0x08.
const GATE: u64 = 0x8e00 << 32 | 0x08 << 16;

/// The interrupt descriptors 0 to 2, two words each. NMI is 2.
static IDT: [AtomicU64; 6] = [const { AtomicU64::new(0) }; 6];

unsafe extern "C" {
    fn on_nmi();
}

#[unsafe(no_mangle)]
extern "C" fn _start() {
    support::say(format_args!("returned"));
    let handler = on_nmi as *const () as u64;
    let low = GATE | handler & 0xffff | (handler & 0xffff_0000) << 32;
    IDT[4].store(low, Ordering::Relaxed);
    IDT[5].store(handler >> 32, Ordering::Relaxed);
    let mut register = [0u16; 5];
    register[0] = size_of_val(&IDT) as u16 - 1;
    for (word, part) in register[1..].iter_mut().enumerate() {
        *part = (IDT.as_ptr() as u64 >> (16 * word)) as u16;
    }
    // SAFETY: the screen's memory is mapped, and the table is valid and stays.
    unsafe {
        (DIGIT as *mut u8).write_volatile(b'0');
        asm!("lidt [{}]", in(reg) &register);
    }
}
