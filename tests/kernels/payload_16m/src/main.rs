//! A large kernel must arrive whole: its random bytes are made again and
//! compared, all of them.

#![no_std]
#![no_main]

mod generator;

use core::hint::black_box;
use generator::Words;

#[repr(align(4096))]
struct Aligned<T: ?Sized>(T);

static PAYLOAD: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/payload")));

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let (words, rest) = black_box(PAYLOAD).0.as_chunks();
    assert!(!words.is_empty() && rest.is_empty());
    for (n, (&seen, wanted)) in words.iter().zip(Words::new()).enumerate() {
        let seen = u64::from_le_bytes(seen);
        assert!(seen == wanted, "word {n:#x} is {seen:#x}, not {wanted:#x}");
    }
    support::report(env!("CARGO_PKG_NAME"))
}
