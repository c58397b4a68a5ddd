//! What a routine leaves behind, in words: one text for each thing that can be compared
//! with what the project's own routine leaves on the same machine.

mod cpu;
mod kernel;
mod memory;
mod tables;

use crate::guest::Guest;
use crate::lab::Lab;
use siso_image::recorder::cpu::{Cpu, REGISTERS, RFLAGS_IF, SEGMENTS};
use std::io;

const RFLAGS_CF: u64 = 1;
const RFLAGS_DF: u64 = 1 << 10;

/// Reads all items of a lab's state.
pub fn read(guest: &mut Guest, cpu: &Cpu, lab: &Lab) -> Vec<Vec<String>> {
    // What cannot be read, because a pointer leads nowhere, is also something to compare.
    let mut item = |item: &String| match read_one(guest, cpu, item) {
        Err(error) => vec![error.to_string()],
        Ok(lines) => lines,
    };
    lab.state.iter().map(&mut item).collect()
}

fn read_one(guest: &mut Guest, cpu: &Cpu, item: &str) -> io::Result<Vec<String>> {
    match item {
        "a20" => Ok(vec![format!(
            "the A20 gate is {}",
            if cpu.a20 { "open" } else { "closed" }
        )]),
        "a20_method" => variable(guest, item),
        "memory_source" => variable(guest, item),
        "stage 2" => memory::stage2(guest),
        "memory" => memory::memory(guest),
        "control registers" => Ok(cpu::control(cpu)),
        "segments" => Ok(cpu::segments(cpu)),
        "descriptors" => cpu::descriptors(guest, cpu),
        "low mapping" => tables::low(guest, cpu),
        "kernel tables" => tables::kernel(guest),
        "kernel" => kernel::loaded(guest),
        "boot info" => kernel::boot_info(guest),
        _ => match register(cpu, item) {
            Some(value) => Ok(vec![format!("{} = {value:#x}", item.to_uppercase())]),
            None => Err(io::Error::other(format!("there is no state '{item}'"))),
        },
    }
}

/// A register or a flag by its name, in the width of the name.
pub fn register(cpu: &Cpu, name: &str) -> Option<u64> {
    let flag = |bit: u64| Some(u64::from(cpu.rflags & bit != 0));
    match name {
        "cf" => return flag(RFLAGS_CF),
        "df" => return flag(RFLAGS_DF),
        "if" => return flag(RFLAGS_IF),
        "dl" => return Some(cpu.registers[2] & 0xff),
        _ => {}
    }
    if let Some(index) = SEGMENTS.iter().position(|segment| *segment == name) {
        return Some(cpu.segments[index].selector.into());
    }
    let find = |name: String| REGISTERS.iter().position(|register| *register == name);
    let (index, bits) = match name.as_bytes() {
        [b'e', rest @ ..] => (find(format!("r{}", str::from_utf8(rest).ok()?)), 32),
        [b'r', ..] => (find(name.into()), 64),
        _ => (find(format!("r{name}")), 16),
    };
    Some(cpu.registers[index?] & (u64::MAX >> (64 - bits)))
}

/// A variable of 32 bits.
fn variable(guest: &mut Guest, name: &str) -> io::Result<Vec<String>> {
    let address = address(guest, name)?;
    let value = number(&guest.stub.memory(address, 4)?);
    Ok(vec![format!("{name} = {value:#x}")])
}

/// A number, its lowest byte first.
fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().rev();
    digits.fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The address of a symbol.
fn address(guest: &Guest, name: &str) -> io::Result<u64> {
    let address = guest.places.address(name);
    address.ok_or_else(|| io::Error::other(format!("the loader has no `{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_have_the_width_of_their_name() {
        let mut cpu = Cpu::default();
        cpu.registers[3] = 0x1_2345_6789;
        cpu.segments[3].selector = 0x10;
        let values = ["rbx", "ebx", "bx", "ds"].map(|name| register(&cpu, name));
        assert_eq!(values, [0x1_2345_6789, 0x2345_6789, 0x6789, 0x10].map(Some));
        assert_eq!(register(&cpu, "nosuch"), None);
    }
}
