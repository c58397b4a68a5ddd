//! The first serial port, which QEMU forwards to the host.

use core::fmt::{Arguments, Write};
use lazy_static::lazy_static;
use spin::Mutex;
use uart_16550::SerialPort;
use x86_64::instructions::interrupts::without_interrupts;

const COM1: u16 = 0x3f8;

lazy_static! {
    static ref SERIAL1: Mutex<SerialPort> = {
        // SAFETY: this is the address of a PC's first serial port, and nothing
        // else uses it.
        let mut port = unsafe { SerialPort::new(COM1) };
        port.init();
        Mutex::new(port)
    };
}

/// To be called by the macros only.
#[doc(hidden)]
pub fn _print(arguments: Arguments) {
    // An interrupt handler that prints must not find the port locked.
    without_interrupts(|| {
        let result = SERIAL1.lock().write_fmt(arguments);
        result.expect("the serial port takes all bytes");
    });
}

/// Prints to the host over the serial port.
#[macro_export]
macro_rules! serial_print {
    ($($arg:tt)*) => {
        $crate::serial::_print(format_args!($($arg)*))
    };
}

/// Prints a line to the host over the serial port.
#[macro_export]
macro_rules! serial_println {
    () => { $crate::serial_print!("\n") };
    ($($arg:tt)*) => {
        $crate::serial_print!("{}\n", format_args!($($arg)*))
    };
}
