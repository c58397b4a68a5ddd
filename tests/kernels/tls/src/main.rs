//! The template of thread-local storage must match the ELF, and a first thread's
//! variables can be initialised from it.

#![feature(thread_local)]
#![no_std]
#![no_main]

use core::arch::asm;
use core::cell::Cell;
use core::hint::black_box;
use core::slice;
use support::elf::{self, PT_TLS};
use support::{BootInfo, expect};

const ALIGN: usize = 64;
const WORD: u64 = 0x0123_4567_89ab_cdef;

#[repr(align(64))]
struct Aligned<T>(T);

#[thread_local]
static INITIALISED: Aligned<Cell<u64>> = Aligned(Cell::new(WORD));

#[thread_local]
static ZERO: Aligned<[Cell<u64>; 20]> = Aligned([const { Cell::new(0) }; 20]);

/// The variables of the only thread, directly below the self-pointer that the FS
/// base points to.
#[repr(C, align(64))]
struct Thread {
    variables: [u8; 1024],
    pointer: *const *const (),
}

#[unsafe(no_mangle)]
extern "C" fn _start(info: &'static BootInfo) -> ! {
    let header = elf::program_headers().iter().find(|h| h.kind == PT_TLS);
    let header = header.expect("no PT_TLS");
    let tls = &info.tls;
    expect("alignment", header.align, ALIGN as u64);
    expect("start", tls.start, header.virtual_address);
    expect("file size", tls.file_size, header.file_size);
    expect("memory size", tls.mem_size, header.mem_size);
    assert!(0 < tls.file_size && tls.file_size < tls.mem_size);

    let (start, bytes) = (tls.start as *const u8, tls.file_size as usize);
    // SAFETY: the template is in the kernel, as was just checked.
    let template = unsafe { slice::from_raw_parts(start, bytes) };
    let words = template.as_chunks().0.iter();
    let found = words.filter(|&&word| u64::from_le_bytes(word) == WORD);
    expect("initialised variables", found.count() as u64, 1);

    let mut thread = Thread {
        variables: [0; 1024],
        pointer: core::ptr::null(),
    };
    let first = thread.variables.len() - (tls.mem_size as usize).next_multiple_of(ALIGN);
    thread.variables[first..][..bytes].copy_from_slice(template);
    thread.pointer = (&raw const thread.pointer).cast();
    enter(black_box(&thread));

    expect("INITIALISED", black_box(&INITIALISED).0.get(), WORD);
    for word in &black_box(&ZERO).0 {
        expect("ZERO", word.get(), 0);
        word.set(WORD);
    }
    expect("INITIALISED", black_box(&INITIALISED).0.get(), WORD);
    support::report(env!("CARGO_PKG_NAME"))
}

/// Makes this the current thread.
fn enter(thread: &Thread) {
    const FS_BASE: u32 = 0xc000_0100;
    let address = thread.pointer as u64;
    let (low, high) = (address as u32, (address >> 32) as u32);
    // SAFETY: FS has no other use here.
    unsafe { asm!("wrmsr", in("ecx") FS_BASE, in("eax") low, in("edx") high) }
}
