//! The serial line COM1, a 16550 UART: 115,200 baud, 8 bits, no parity.
//!
//! The loader has already initialized it. The kernel does so again, so that it
//! does not depend on a particular loader.

use crate::port;
use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};

/// I/O port of the first register; the others follow.
const DATA: u16 = 0x3f8;
const INTERRUPT_ENABLE: u16 = DATA + 1;
const LINE_CONTROL: u16 = DATA + 3;
const LINE_STATUS: u16 = DATA + 5;
/// Line control: the first two registers hold the divisor.
const DIVISOR_LATCH: u8 = 0x80;
/// Line control: 8 data bits, no parity, 1 stop bit.
const EIGHT_N_ONE: u8 = 0x03;
/// Line status: the transmitter can take a byte.
const TRANSMITTER_EMPTY: u8 = 0x20;
/// How often to poll the line status before the line counts as broken: several
/// milliseconds, whereas a byte takes 87 microseconds.
const POLLS_MAX: u32 = 10_000;

/// The line's state: not initialized yet, ready, or broken.
static STATE: AtomicU8 = AtomicU8::new(UNINITIALIZED);
const UNINITIALIZED: u8 = 0;
const READY: u8 = 1;
const BROKEN: u8 = 2;

/// Writes to COM1. If the line stops taking bytes, output to it is discarded
/// from then on.
pub struct Writer;

impl Writer {
    fn write_byte(&mut self, byte: u8) {
        if STATE.load(Ordering::Relaxed) == UNINITIALIZED {
            init();
        }
        if STATE.load(Ordering::Relaxed) == READY {
            // SAFETY: reading the line status only clears its error bits.
            let ready = || unsafe { port::read(LINE_STATUS) } & TRANSMITTER_EMPTY != 0;
            if (0..POLLS_MAX).any(|_| ready()) {
                // SAFETY: this only sends the byte.
                unsafe { port::write(DATA, byte) }
            } else {
                STATE.store(BROKEN, Ordering::Relaxed);
            }
        }
    }
}

fn init() {
    // SAFETY: these registers only set the line's speed and format.
    unsafe {
        port::write(INTERRUPT_ENABLE, 0);
        port::write(LINE_CONTROL, DIVISOR_LATCH | EIGHT_N_ONE);
        port::write(DATA, 1); // 115,200 baud / 1
        port::write(INTERRUPT_ENABLE, 0);
        port::write(LINE_CONTROL, EIGHT_N_ONE);
    }
    STATE.store(READY, Ordering::Relaxed);
}

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.write_byte(b'\r');
            }
            self.write_byte(byte);
        }
        Ok(())
    }
}

/// Prints to the serial line, like `std`'s `print!`.
#[macro_export]
macro_rules! serial_print {
    ($($arg:tt)*) => {{
        use core::fmt::Write as _;
        let _ = write!($crate::serial::Writer, $($arg)*); // never fails
    }};
}

/// Prints to the serial line and ends the line, like `std`'s `println!`.
#[macro_export]
macro_rules! serial_println {
    () => { $crate::serial_print!("\n") };
    ($($arg:tt)*) => { $crate::serial_print!("{}\n", format_args!($($arg)*)) };
}
