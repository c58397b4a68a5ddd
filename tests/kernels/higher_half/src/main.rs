//! A kernel in the higher half must be loaded there completely, and at 2 MiB of
//! physical memory, regardless of the physical addresses in its ELF.

#![no_std]
#![no_main]

use core::arch::asm;
use core::hint::black_box;
use core::slice;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use support::{BootInfo, expect};

const BASE: u64 = 0xffff_ffff_8000_0000;
const PHYSICAL: u64 = 0x20_0000;
const WORD: u64 = 0x0123_4567_89ab_cdef;

static DATA: [AtomicU64; 1024] = [const { AtomicU64::new(WORD) }; 1024];
static BSS: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

unsafe extern "C" {
    static rodata_end: u8;
    static bss: u8;
    static bss_end: u8;
}

#[unsafe(no_mangle)]
extern "C" fn _start(info: &'static BootInfo) -> ! {
    let rip: u64;
    // SAFETY: reading RIP has no side effects.
    unsafe { asm!("lea {}, [rip]", out(reg) rip, options(nomem, nostack)) }
    assert!(rip > BASE, "RIP is {rip:#x}");

    // SAFETY: both symbols come from the linker script, and nothing has written
    // there yet.
    let zeroes = unsafe { between(&raw const bss, &raw const bss_end) };
    assert!(zeroes.iter().all(|&byte| byte == 0), ".bss is not zero");

    for (data, zero) in black_box(&DATA).iter().zip(black_box(&BSS)) {
        expect("a word of .data", data.load(Relaxed), WORD);
        zero.store(WORD, Relaxed);
        data.store(0, Relaxed);
    }
    for (data, zero) in black_box(&DATA).iter().zip(black_box(&BSS)) {
        expect("a word written to .bss", zero.load(Relaxed), WORD);
        expect("a word written to .data", data.load(Relaxed), 0);
    }

    let copy = (info.physical_memory_offset + PHYSICAL) as *const u8;
    // SAFETY: these are the kernel's constants, also seen through the mapping of
    // physical memory.
    let (constants, copy) = unsafe {
        let constants = between(BASE as *const u8, &raw const rodata_end);
        (constants, slice::from_raw_parts(copy, constants.len()))
    };
    assert!(!constants.is_empty());
    assert!(
        constants == copy,
        "different bytes at 2 MiB of physical memory"
    );
    support::report(env!("CARGO_PKG_NAME"))
}

/// The bytes between two symbols.
///
/// # Safety
///
/// The bytes must be mapped and must not change while the slice is in use.
unsafe fn between(start: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: the caller guarantees it.
    unsafe { slice::from_raw_parts(start, end.addr() - start.addr()) }
}
