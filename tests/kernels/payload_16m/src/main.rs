//! A large kernel must be loaded completely: all of its random bytes are
//! generated again and compared.

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
    for (n, (&actual, expected)) in words.iter().zip(Words::new()).enumerate() {
        let actual = u64::from_le_bytes(actual);
        assert!(
            actual == expected,
            "word {n:#x} is {actual:#x}, not {expected:#x}"
        );
    }
    support::report(env!("CARGO_PKG_NAME"))
}
