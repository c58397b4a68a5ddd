//! The keyboard: decodes keys, and simulates a key press.

use crate::{interrupts, print};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use lazy_static::lazy_static;
use pc_keyboard::{DecodedKey, HandleControl, Keyboard, ScancodeSet1, layouts::Us104Key};
use spin::Mutex;
use x86_64::instructions::port::Port;

const DATA: u16 = 0x60;
const STATUS: u16 = 0x64;
const COMMAND: u16 = 0x64;

/// The controller has not yet read the last byte written to it.
const STATUS_INPUT_FULL: u8 = 1 << 1;
/// The controller returns the next byte written as if the keyboard had sent it.
const COMMAND_WRITE_OUTPUT: u8 = 0xd2;

/// The scancode of the key A.
pub const SCANCODE_A: u8 = 0x1e;

lazy_static! {
    static ref DECODER: Mutex<Keyboard<Us104Key, ScancodeSet1>> = {
        let control = HandleControl::Ignore;
        Mutex::new(Keyboard::new(ScancodeSet1::new(), Us104Key, control))
    };
}

/// The last scancode; 0 if there is none.
static LAST: AtomicU8 = AtomicU8::new(0);

/// Handles the interrupt: reads the scancode and prints the character.
pub(crate) fn interrupt() {
    // SAFETY: reading removes the byte, which is the handler's task.
    let scancode: u8 = unsafe { Port::new(DATA).read() };
    LAST.store(scancode, Relaxed);
    let mut decoder = DECODER.lock();
    if let Ok(Some(event)) = decoder.add_byte(scancode)
        && let Some(DecodedKey::Unicode(character)) = decoder.process_keyevent(event)
    {
        print!("{character}");
    }
}

/// Takes the last scancode; waits for one for up to 5 seconds.
pub fn wait_for_scancode() -> Option<u8> {
    for _ in 0..5 * interrupts::TICKS_PER_SECOND {
        match LAST.swap(0, Relaxed) {
            0 => interrupts::wait_for_ticks(1),
            scancode => return Some(scancode),
        }
    }
    None
}

/// Makes the keyboard controller deliver a scancode with an interrupt, as if a
/// key had been pressed.
pub fn inject(scancode: u8) {
    write(COMMAND, COMMAND_WRITE_OUTPUT);
    write(DATA, scancode);
}

fn write(port: u16, byte: u8) {
    let mut status = Port::<u8>::new(STATUS);
    // SAFETY: reading the status has no side effects. The controller is ready,
    // and the byte only causes an interrupt.
    unsafe {
        while status.read() & STATUS_INPUT_FULL != 0 {}
        Port::new(port).write(byte);
    }
}

#[test_case]
fn key_arrives() {
    for key in [SCANCODE_A, SCANCODE_A | 0x80] {
        inject(key);
        assert_eq!(wait_for_scancode(), Some(key));
    }
}
