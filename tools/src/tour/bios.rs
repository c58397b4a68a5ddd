//! Says in words what a call of the BIOS was asked, and what it answered.

use super::memory::Call;
use crate::recorder::cpu::Cpu;

/// What was asked and what was answered. The numbers are in hexadecimal.
pub fn describe(call: &Call) -> (String, String) {
    let [ax, cx, dx, bx] = words(&call.before);
    let (ah, al) = (ax >> 8, ax & 0xff);
    let asked = match (call.number, ah) {
        (0x10, 0x00) => format!("set video mode {al:x}"),
        (0x10, 0x0e) => format!("print {}", character(al)),
        (0x12, _) => "how many KiB of low memory are there?".into(),
        (0x13, 0x00) => "reset the drive".into(),
        (0x13, 0x02) => format!("read {al} sectors: CX {cx:x}, DX {dx:x}"),
        (0x13, 0x08) => "which geometry does the drive have?".into(),
        (0x13, 0x42) => match call.sectors {
            Some((first, count)) => format!("read {count} sectors from sector {first} on"),
            None => "read sectors".into(),
        },
        (0x15, 0x24) => format!("A20 gate: AX {ax:x}"),
        (0x15, 0x88) => "how many KiB are there above 1 MiB?".into(),
        (0x15, 0xe8) if al == 0x20 => format!("memory map: the entry after {bx:x}"),
        (0x15, 0xe8) => "how much memory is there? (E801)".into(),
        (0x15, 0xec) => format!("the kernel will run in mode {bx:x}"),
        (0x16, 0x01) => "was a key pressed?".into(),
        (0x18, _) => "boot the next device".into(),
        _ => format!("AX {ax:x}, BX {bx:x}, CX {cx:x}, DX {dx:x}"),
    };
    let Some(after) = &call.after else {
        return (asked, "it did not return".into());
    };
    let [new_ax, new_cx, new_dx, new_bx] = words(after);
    let carry = after.rflags & 1 != 0;
    let answered = match (call.number, ah) {
        (0x10, 0x00 | 0x0e) => "done".into(),
        (0x12, _) => format!("{new_ax}"),
        (0x13, _) if carry => format!("failed: error {:x}", new_ax >> 8),
        (0x13, 0x08) => format!(
            "{} heads, {} sectors per track",
            (new_dx >> 8) + 1,
            new_cx & 0x3f
        ),
        (0x13, _) => "done".into(),
        (0x15, 0xe8) if al == 0x20 && !carry => match new_bx {
            0 => "the last entry".into(),
            next => format!("an entry; the next one is after {next:x}"),
        },
        (0x15, _) if carry => "not supported".into(),
        (0x16, 0x01) => if after.rflags & 0x40 != 0 {
            "no"
        } else {
            "yes"
        }
        .into(),
        _ => {
            let mut changed = Vec::new();
            for (name, old, new) in [
                ("AX", ax, new_ax),
                ("BX", bx, new_bx),
                ("CX", cx, new_cx),
                ("DX", dx, new_dx),
            ] {
                if old != new {
                    changed.push(format!("{name} {new:x}"));
                }
            }
            match changed.is_empty() {
                true => "no register changed".into(),
                false => changed.join(", "),
            }
        }
    };
    (asked, answered)
}

/// AX, CX, DX, BX.
fn words(cpu: &Cpu) -> [u64; 4] {
    [0, 1, 2, 3].map(|index| cpu.registers[index] & 0xffff)
}

fn character(code: u64) -> String {
    match code {
        0x21..0x7f => format!("{:?}", char::from(code as u8)),
        0x20 => "a blank".into(),
        0x0d => "a carriage return".into(),
        0x0a => "a line feed".into(),
        _ => format!("character {code:x}"),
    }
}
