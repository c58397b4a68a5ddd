//! What is in the CPU: control registers, segments; and the descriptors in memory.

use super::number;
use crate::guest::Guest;
use siso_image::recorder::cpu::{Cpu, SEGMENTS};
use std::io;

/// The bits of the control registers that decide about modes and paging.
const CR0: [(&str, u32); 3] = [("PE", 0), ("WP", 16), ("PG", 31)];
const CR4: [(&str, u32); 2] = [("PAE", 5), ("LA57", 12)];
const EFER: [(&str, u32); 3] = [("LME", 8), ("LMA", 10), ("NXE", 11)];

/// A line for each bit of CR0, CR4 and EFER that decides about modes, and the mode.
pub fn control(cpu: &Cpu) -> Vec<String> {
    let mut lines = Vec::new();
    for (register, value, bits) in [
        ("CR0", cpu.cr0, &CR0[..]),
        ("CR4", cpu.cr4, &CR4),
        ("EFER", cpu.efer, &EFER),
    ] {
        for (name, bit) in bits {
            lines.push(format!("{register}.{name} = {}", value >> bit & 1));
        }
    }
    lines.push(format!("the CPU runs {}-bit code", cpu.mode().bits()));
    lines.push(format!("IDTR has the limit {:#x}", cpu.idtr.limit));
    lines
}

/// A line for each segment register, from what the CPU has taken from its descriptor.
pub fn segments(cpu: &Cpu) -> Vec<String> {
    let line = |index: usize| {
        let segment = &cpu.segments[index];
        let kind = kind(segment.rights >> 8 & 0xff, segment.rights >> 20 & 0xf);
        format!(
            "{}: base {:#x}, last offset {:#x}, {kind}",
            SEGMENTS[index].to_uppercase(),
            segment.base,
            segment.limit,
        )
    };
    (0..6).map(line).collect()
}

/// A line for each descriptor of the table that GDTR points to.
pub fn descriptors(guest: &mut Guest, cpu: &Cpu) -> io::Result<Vec<String>> {
    let count = usize::from(cpu.gdtr.limit).div_ceil(8).min(64);
    let mut lines = vec![format!("GDTR has the limit {:#x}", cpu.gdtr.limit)];
    let table = guest.stub.memory(cpu.gdtr.base, count * 8)?;
    for (n, entry) in table.chunks(8).enumerate() {
        lines.push(format!("descriptor {n}: {}", descriptor(number(entry))));
    }
    Ok(lines)
}

/// A descriptor in words (Intel SDM volume 3A, 3.4.5).
fn descriptor(entry: u64) -> String {
    if entry == 0 {
        return "null".into();
    }
    let base = entry >> 16 & 0xff_ffff | entry >> 32 & 0xff00_0000;
    let limit = entry & 0xffff | entry >> 32 & 0xf_0000;
    let (access, flags) = ((entry >> 40 & 0xff) as u32, (entry >> 52 & 0xf) as u32);
    let last = match flags & 8 != 0 {
        true => limit << 12 | 0xfff,
        false => limit,
    };
    format!(
        "base {base:#x}, last offset {last:#x}, {}",
        kind(access, flags)
    )
}

/// What the access byte and the flags of a descriptor say.
fn kind(access: u32, flags: u32) -> String {
    let is_code = access & 8 != 0;
    let size = match (is_code, flags & 2 != 0, flags & 4 != 0) {
        (true, true, true) => "code with L = D = 1, which is reserved".to_string(),
        (true, true, false) => "64-bit code".into(),
        (true, false, true) => "32-bit code".into(),
        (true, false, false) => "16-bit code".into(),
        (false, _, wide) => format!("data with a {}-bit stack", if wide { 32 } else { 16 }),
    };
    let right = match (is_code, access & 2 != 0) {
        (true, true) => "readable",
        (true, false) => "not readable",
        (false, true) => "writable",
        (false, false) => "not writable",
    };
    let present = if access & 0x80 != 0 {
        ""
    } else {
        ", not present"
    };
    let system = if access & 0x10 != 0 {
        ""
    } else {
        ", a system segment"
    };
    let level = match access >> 5 & 3 {
        0 => String::new(),
        level => format!(", privilege level {level}"),
    };
    format!("{size}, {right}{present}{system}{level}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_read() {
        let code = "base 0x0, last offset 0xffffffff, 32-bit code, readable";
        assert_eq!(descriptor(0x00cf_9b00_0000_ffff), code);
        let data = "base 0x12345678, last offset 0xffff, data with a 16-bit stack, not writable, \
                    not present, privilege level 3";
        assert_eq!(descriptor(0x1200_7134_5678_ffff), data);
    }
}
