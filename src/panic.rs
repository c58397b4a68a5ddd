//! The panic handler: prints the location and the message of a panic to the
//! screen and the serial line.

use crate::once_cell::OnceCell;
use crate::vga::{Color, Writer};
use crate::{cpu, serial_println};
use core::fmt::{Display, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU8, Ordering};

static HOOK: OnceCell<fn(&PanicInfo)> = OnceCell::new();

/// Sets a function to call before a panic is shown. The function need not
/// return: tests exit QEMU from it. Panics if a hook is already set.
pub fn set_hook(hook: fn(&PanicInfo)) {
    HOOK.set(hook);
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    if let Some(hook) = HOOK.get() {
        hook(info);
    }
    show_and_halt(info)
}

/// Shows why the kernel cannot continue, on the serial line and in white on red
/// on the screen; then halts.
pub(crate) fn show_and_halt(reason: &dyn Display) -> ! {
    /// How many calls may print. Printing may itself fault, for example when
    /// the stack is almost full, and that fault leads here again.
    const ATTEMPTS_MAX: u8 = 3;
    static ATTEMPTS: AtomicU8 = AtomicU8::new(0);
    if ATTEMPTS.fetch_add(1, Ordering::Relaxed) < ATTEMPTS_MAX {
        serial_println!("\n{reason}");
        let _ = writeln!(Writer::new(Color::White, Color::Red), "\n{reason}"); // never fails
    }
    cpu::halt()
}
