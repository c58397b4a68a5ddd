//! What a panic shows: its place and its message, on both channels.

use crate::once_cell::OnceCell;
use crate::vga::{Color, Writer};
use crate::{cpu, serial_println};
use core::fmt::{Display, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU8, Ordering};

static HOOK: OnceCell<fn(&PanicInfo)> = OnceCell::new();

/// Sets a function that is called before a panic is shown. It need not come
/// back: tests leave QEMU from there. Panics if there is one already.
pub fn set_hook(hook: fn(&PanicInfo)) {
    HOOK.set(hook);
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    if let Some(hook) = HOOK.get() {
        hook(info);
    }
    last_words(info)
}

/// Shows why the kernel cannot go on, on the serial line and in white on red
/// on the screen; then rests.
pub(crate) fn last_words(reason: &dyn Display) -> ! {
    /// How often the way to here may fail itself: a fault with the stack
    /// almost full leads to another when that is used up.
    const ATTEMPTS: u8 = 3;
    static BEGUN: AtomicU8 = AtomicU8::new(0);
    if BEGUN.fetch_add(1, Ordering::Relaxed) < ATTEMPTS {
        serial_println!("\n{reason}");
        let _ = writeln!(Writer::new(Color::White, Color::Red), "\n{reason}"); // it never fails
    }
    cpu::halt()
}
