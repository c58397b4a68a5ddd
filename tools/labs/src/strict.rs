//! Boots a loader on Bochs, which does not forgive what QEMU does: a reserved bit of a
//! register that is set, for example.

use crate::guest::{Outcome, Phase, Seen, Subject};
use crate::lab::Lab;
use crate::place::Places;
use siso_image::bochs;
use siso_image::qemu::{Scratch, loader_error};
use std::fs;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// The most time for a boot.
const LIMIT: Duration = Duration::from_secs(60);
/// What its BIOS says before it jumps to the boot sector.
const BOOTS: &str = "Booting from 0000:7c00";
/// A CPU of Bochs that has long mode.
const CPU: &str = "cpu: model=corei7_sandy_bridge_2600k, reset_on_triple_fault=0";

/// Boots a loader with its kernel. `None` if there is no Bochs that could.
pub fn boot(subject: &Subject, lab: &Lab) -> Result<Option<Seen>, String> {
    let about = |error: io::Error| format!("Bochs cannot be watched: {error}");
    let scratch = Scratch::new().map_err(about)?;
    let image = scratch.path().join("image");
    fs::write(&image, &subject.image).map_err(about)?;
    let is_over = |said: &str| boots(said) || loader_error(said).is_some();
    let seen = match bochs::boot(&image, CPU, LIMIT, is_over) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        seen => seen.map_err(about)?,
    };
    if !seen.log.contains(BOOTS) {
        return Ok(None); // its BIOS is missing, or its display
    }
    let (outcome, address) = match loader_error(&seen.serial) {
        _ if boots(&seen.serial) => (Outcome::Boots, None),
        Some(error) => (Outcome::Error(error), None),
        None if seen.screen.is_some() => (Outcome::Hangs, None),
        None => {
            let (exception, address) = death(&seen.log);
            (Outcome::Reset(exception), address)
        }
    };
    let places = Places::new(&subject.elf, lab)?;
    Ok(Some(Seen {
        outcome,
        phase: Phase::Unknown,
        place: address.map(|address| places.name(address)),
        changed: Vec::new(),
        state: Vec::new(),
    }))
}

fn boots(said: &str) -> bool {
    said.contains("This is the kernel")
}

/// Why Bochs ended, and the address of the instruction that did it. Its log has what the
/// CPU objected to, then how no exception could be delivered, then the CPU's state; each
/// line begins with the same time.
fn death(log: &str) -> (Option<String>, Option<u64>) {
    let Some(panic) = log.lines().find(|line| line.contains(bochs::PANIC)) else {
        return (None, None);
    };
    let time: String = panic.chars().take_while(char::is_ascii_digit).collect();
    let at_end = || log.lines().filter_map(|line| line.strip_prefix(&time));
    let text = |line: &str| Some(line.split_once("] ")?.1.trim_end_matches(" !").to_string());
    let objection = at_end().find(|line| line.starts_with("e[CPU"));
    let address = at_end().find_map(|line| {
        let (_, rest) = line.split_once("| EIP=").or(line.split_once("| RIP="))?;
        let digits = rest.split([' ', ':']).next()?;
        u64::from_str_radix(&digits.replace('_', ""), 16).ok()
    });
    (objection.or(Some(panic)).and_then(text), address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_death_is_found() {
        let log = "00000000001e[CPU0  ] something before\n\
                   00000000123e[CPU0  ] SetEFER(0x00000900): attempt to set reserved bits of EFER MSR !\n\
                   00000000123e[CPU0  ] interrupt(): gate descriptor is not valid sys seg (vector=0x0d)\n\
                   00000000123i[CPU0  ] | EIP=00008122 (00008122)\n\
                   00000000123p[CPU0  ] >>PANIC<< exception(): 3rd (13) exception with no resolution\n";
        let words = "SetEFER(0x00000900): attempt to set reserved bits of EFER MSR";
        assert_eq!(death(log), (Some(words.into()), Some(0x8122)));
        assert_eq!(death("00000000001i[CPU0  ] nothing\n"), (None, None));
    }
}
