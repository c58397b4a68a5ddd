//! Where two segments share a page, loading or clearing one must not change the
//! bytes of the other.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::slice;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Bytes whose values depend on their positions.
const fn pattern<const N: usize>(first: u8) -> [u8; N] {
    let mut bytes = [first; N];
    let mut n = 0;
    while n < N {
        bytes[n] = bytes[n].wrapping_add((n as u8).wrapping_mul(7)) | 1; // never 0
        n += 1;
    }
    bytes
}

#[unsafe(link_section = ".last_constants")]
static CONSTANTS: [u8; 784] = pattern(1);

#[unsafe(link_section = ".first_variables")]
static VARIABLES: [AtomicU8; 999] = atomic(pattern(2));

/// With these, the size of .bss is no multiple of 8.
static ZEROES: [AtomicU8; 5003] = [const { AtomicU8::new(0) }; 5003];

#[unsafe(link_section = ".tail")]
static TAIL: [u8; 5555] = pattern(3);

const fn atomic<const N: usize>(bytes: [u8; N]) -> [AtomicU8; N] {
    // SAFETY: AtomicU8 has the same layout as u8.
    unsafe { core::mem::transmute_copy(&bytes) }
}

unsafe extern "C" {
    static bss: u8;
    static bss_end: u8;
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let (start, end) = (&raw const bss, &raw const bss_end);
    // SAFETY: both symbols come from the linker script, and nothing has written
    // there yet.
    let zeroes = unsafe { slice::from_raw_parts(start, end.addr() - start.addr()) };
    assert!(zeroes.len() >= ZEROES.len());
    assert!(zeroes.iter().all(|&byte| byte == 0), ".bss is not zero");

    check_initialised();
    for (byte, value) in black_box(&ZEROES).iter().zip(pattern::<5003>(4)) {
        byte.store(value, Relaxed);
    }
    for (byte, value) in black_box(&ZEROES).iter().zip(pattern::<5003>(4)) {
        assert!(byte.load(Relaxed) == value, ".bss cannot be written");
    }
    check_initialised();
    support::report(env!("CARGO_PKG_NAME"))
}

fn check_initialised() {
    assert!(*black_box(&CONSTANTS) == pattern(1), "wrong constants");
    assert!(*black_box(&TAIL) == pattern(3), "wrong tail");
    for (byte, value) in black_box(&VARIABLES).iter().zip(pattern::<999>(2)) {
        assert!(byte.load(Relaxed) == value, "wrong variables");
    }
}
