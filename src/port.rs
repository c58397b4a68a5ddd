//! I/O ports, through which a PC's oldest devices are accessed.

use core::arch::asm;

/// Reads a byte from an I/O port.
///
/// # Safety
///
/// Reading a port may change the device's state; the caller must know the effect.
pub unsafe fn read(port: u16) -> u8 {
    let value;
    // SAFETY: IN accesses no memory; the caller knows its effect on the device.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack)) }
    value
}

/// Writes a byte to an I/O port.
///
/// # Safety
///
/// A device may overwrite memory or reset the PC; the caller must know the
/// effect.
pub unsafe fn write(port: u16, value: u8) {
    // SAFETY: OUT accesses no memory; the caller knows its effect on the device.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) }
}

/// Writes four bytes to an I/O port.
///
/// # Safety
///
/// As for [`write()`].
pub unsafe fn write_u32(port: u16, value: u32) {
    // SAFETY: OUT accesses no memory; the caller knows its effect on the device.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack)) }
}
