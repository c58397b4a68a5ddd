//! All of .bss must be zero and writable.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use support::expect;

const WORDS: usize = (8 << 20) / size_of::<u64>();

static BSS: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let words = black_box(&BSS);
    for (word, number) in words.iter().zip(1..) {
        expect("a word of .bss", word.load(Relaxed), 0);
        word.store(number, Relaxed);
    }
    for (word, number) in words.iter().zip(1..) {
        expect("a word written to .bss", word.load(Relaxed), number);
    }
    support::report(env!("CARGO_PKG_NAME"))
}
