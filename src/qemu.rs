//! Exits QEMU through a device that real PCs do not have.
//!
//! `-device isa-debug-exit,iobase=0xf4,iosize=0x04` adds the device. A write to
//! its port ends QEMU with exit status `value << 1 | 1`. The status is therefore
//! never 0, which QEMU itself returns after a reset.

use crate::{cpu, port};

/// I/O port of the device.
const PORT: u16 = 0xf4;

/// The outcome to report to whatever started QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ExitCode {
    /// Success: QEMU's exit status is 33.
    Success = 0x10,
    /// Failure: QEMU's exit status is 35.
    Failure = 0x11,
}

/// Exits QEMU; halts on a machine without the device.
pub fn exit(code: ExitCode) -> ! {
    // SAFETY: the device only ends QEMU; PCs have no other device at this port.
    unsafe { port::write_u32(PORT, code as u32) }
    // QEMU ends a moment later; the CPU must not continue until then.
    cpu::halt()
}
