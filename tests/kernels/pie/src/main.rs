//! Pointers in constants and variables: the image builder must apply a relocation
//! for each.

#![no_std]
#![no_main]

use core::hint::black_box;
use core::sync::atomic::{AtomicPtr, Ordering};
use support::expect;

const WORDS: [u64; 3] = [11, 22, 33];

/// A trait whose objects have a vtable.
trait Number: Sync {
    fn number(&self) -> u64;
}

struct Fixed(u64);
struct Double(u64);

impl Number for Fixed {
    fn number(&self) -> u64 {
        self.0
    }
}

impl Number for Double {
    fn number(&self) -> u64 {
        self.0 * 2
    }
}

/// Constants that point to constants and to vtables.
static NUMBERS: [&dyn Number; 3] = [&Fixed(1), &Double(2), &Fixed(3)];
static NAMES: [&str; 3] = ["one", "four", "three"];
/// A variable that points to another variable.
static mut TARGET: u64 = 0x5150;
static POINTER: AtomicPtr<u64> = AtomicPtr::new(&raw mut TARGET);

fn last(words: &[u64]) -> u64 {
    words[words.len() - 1]
}

static FUNCTION: fn(&[u64]) -> u64 = last;

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    for (number, expected) in black_box(&NUMBERS).iter().zip([1, 4, 3]) {
        expect("a number", number.number(), expected);
    }
    for (name, expected) in black_box(&NAMES).iter().zip([3, 4, 5]) {
        expect("a name's length", name.len() as u64, expected);
    }
    assert!(black_box(&NAMES)[1] == "four");
    expect("a function", black_box(&FUNCTION)(&WORDS), 33);
    let target = black_box(&POINTER).load(Ordering::Relaxed);
    // SAFETY: it points to TARGET, which nothing else uses.
    expect("a variable", unsafe { *target }, 0x5150);
    support::report(env!("CARGO_PKG_NAME"))
}
