//! Whether a CPU that takes no interrupts can leave the loop that it is in.

use std::collections::BTreeSet;

/// The most instructions that such a loop may have.
const LONGEST: usize = 8;
/// The most bytes of an instruction that such a loop may have: JMP rel32.
pub const BYTES: usize = 5;

/// Whether the instructions from this address on are a loop of HLT, CLI, NOP, PAUSE and
/// jumps, which without interrupts does nothing and never ends. `read` returns the
/// bytes at an address, if it can be read.
pub fn never_ends(start: u64, mut read: impl FnMut(u64) -> Option<[u8; BYTES]>) -> bool {
    let mut seen = BTreeSet::new();
    let mut at = start;
    for _ in 0..=LONGEST {
        if !seen.insert(at) {
            return true;
        }
        let Some(bytes) = read(at) else {
            return false;
        };
        // Where the next instruction is (Intel SDM, volume 2: JMP).
        at = match bytes {
            [0xf4 | 0xfa | 0x90, ..] => at.wrapping_add(1), // HLT, CLI, NOP
            [0xf3, 0x90, ..] => at.wrapping_add(2),         // PAUSE
            [0xeb, to, ..] => at.wrapping_add(2).wrapping_add_signed((to as i8).into()),
            [0xe9, to @ ..] => at
                .wrapping_add(5)
                .wrapping_add_signed(i32::from_le_bytes(to).into()),
            _ => return false,
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{BYTES, never_ends};

    const START: u64 = 0xffff_ffff_8000_0000;

    #[test]
    fn loops() {
        for (code, expected) in [
            ("eb fe", true),                      // loop {}
            ("eb 00 eb fe", true),                // the same in a debug build
            ("f3 90 eb fc", true),                // loop { spin_loop() }
            ("fa f4 eb fc", true),                // loop { cli; hlt }
            ("f4 eb fd", true),                   // loop { hlt }
            ("90 e9 fa ff ff ff", true),          // a long jump back
            ("f4 c3", false),                     // returns
            ("fb f4 eb fc", false),               // enables interrupts
            ("ff c0 eb fc", false),               // counts
            ("eb 7f", false),                     // leaves what can be read
            ("90 90 90 90 90 90 90 eb f7", true), // eight instructions
            ("90 90 90 90 90 90 90 90 eb f6", false),
        ] {
            let bytes = code.split(' ').map(|byte| u8::from_str_radix(byte, 16));
            let bytes: Result<Vec<u8>, _> = bytes.collect();
            let bytes = bytes.expect("they are hexadecimal digits");
            let read = |address: u64| {
                let mut found = [0xcc; BYTES];
                let rest = bytes.get((address - START) as usize..)?;
                let length = rest.len().min(BYTES);
                found[..length].copy_from_slice(&rest[..length]);
                Some(found)
            };
            assert_eq!(never_ends(START, read), expected, "{code}");
        }
    }
}
