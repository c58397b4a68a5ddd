//! I/O ports: how a PC's oldest devices are reached.

use core::arch::asm;

/// Reads a byte from an I/O port.
///
/// # Safety
///
/// Reading a port may change a device's state: whoever calls must know it.
pub unsafe fn read(port: u16) -> u8 {
    let value;
    // SAFETY: IN touches no memory; what it does to a device, the caller knows.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack)) }
    value
}

/// Writes a byte to an I/O port.
///
/// # Safety
///
/// A device can be told to overwrite memory or to reset the PC: whoever calls
/// must know what this one does.
pub unsafe fn write(port: u16, value: u8) {
    // SAFETY: OUT touches no memory; what it does to a device, the caller knows.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) }
}

/// Writes four bytes to an I/O port.
///
/// # Safety
///
/// As for [`write()`].
pub unsafe fn write_u32(port: u16, value: u32) {
    // SAFETY: OUT touches no memory; what it does to a device, the caller knows.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack)) }
}
