//! The mutants of an instruction: changes of the assembled bytes, of the same size.

use bench::points::{Choice, Point};
use iced_x86::{Decoder, DecoderOptions, FlowControl};
use siso_image::LOADER;
use siso_image::layout::STAGE2_CHECKSUM;

const NOP: u8 = 0x90;
const JMP_SHORT: u8 = 0xeb;
const JMP_NEAR: u8 = 0xe9;

/// A changed instruction.
pub struct Mutant<'a> {
    pub point: &'a Point,
    /// What was changed.
    pub change: &'static str,
    /// The new bytes.
    pub bytes: Vec<u8>,
}

/// All mutants of an instruction.
pub fn mutants(point: &Point) -> Vec<Mutant<'_>> {
    let original = &LOADER[point.offset()..][..point.size];
    // The image builder writes into this one, and would undo the change.
    if (point.address..point.address + point.size as u64).contains(&STAGE2_CHECKSUM) {
        return Vec::new();
    }
    let mutant = |change, bytes| Mutant {
        point,
        change,
        bytes,
    };
    let mut all = vec![mutant("removed", vec![NOP; original.len()])];
    if point.choice == Choice::Branch {
        all.extend(
            branch(original)
                .into_iter()
                .map(|(change, bytes)| mutant(change, bytes)),
        );
    } else if let Some(bytes) = immediate(point, original) {
        all.push(mutant("immediate + 1", bytes));
    }
    all.retain(|mutant| mutant.bytes != original);
    all
}

/// A conditional branch, inverted and made unconditional.
fn branch(original: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    // Prefixes come before the opcode.
    let at = original
        .iter()
        .position(|byte| !matches!(byte, 0x66 | 0x67 | 0x2e | 0x3e));
    let at = at.expect("there is an opcode");
    let with = |changes: &[(usize, u8)]| {
        let mut bytes = original.to_vec();
        for (n, byte) in changes {
            bytes[at + n] = *byte;
        }
        bytes
    };
    match original[at..] {
        [opcode @ 0x70..=0x7f, _] => vec![
            ("inverted", with(&[(0, opcode ^ 1)])),
            ("unconditional", with(&[(0, JMP_SHORT)])),
        ],
        [0x0f, opcode @ 0x80..=0x8f, ..] => vec![
            ("inverted", with(&[(1, opcode ^ 1)])),
            ("unconditional", with(&[(0, NOP), (1, JMP_NEAR)])),
        ],
        // LOOP and JCXZ cannot be inverted in place.
        _ => vec![("unconditional", with(&[(0, JMP_SHORT)]))],
    }
}

/// The immediate operand, one more than it was.
fn immediate(point: &Point, original: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = Decoder::with_ip(point.mode, original, point.address, DecoderOptions::NONE);
    let instruction = decoder.decode();
    let constants = decoder.get_constant_offsets(&instruction);
    if instruction.flow_control() != FlowControl::Next || !constants.has_immediate() {
        return None;
    }
    let mut bytes = original.to_vec();
    for byte in &mut bytes[constants.immediate_offset()..][..constants.immediate_size()] {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            break; // no carry
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::branch;

    #[test]
    fn branches_keep_their_targets() {
        assert_eq!(
            branch(&[0x74, 0x05]),
            [
                ("inverted", vec![0x75, 0x05]),
                ("unconditional", vec![0xeb, 0x05])
            ]
        );
        assert_eq!(
            branch(&[0x0f, 0x82, 0x34, 0x12]),
            [
                ("inverted", vec![0x0f, 0x83, 0x34, 0x12]),
                ("unconditional", vec![0x90, 0xe9, 0x34, 0x12])
            ]
        );
        assert_eq!(branch(&[0xe2, 0xf0]), [("unconditional", vec![0xeb, 0xf0])]);
    }
}
