//! A backtrace: by the unwind tables of the kernel, else by frame pointers.

use super::Guest;
use crate::recorder::cpu::{Cpu, Mode, RBP, RSP};
use crate::recorder::symbols::{Rule, Unwind};

/// The most frames that are shown.
const FRAMES_MAX: usize = 24;
/// A function that has called itself so many times is endless recursion.
const RECURSION: usize = 50;

impl Guest<'_> {
    /// The functions that were called, from the innermost one outwards.
    pub(super) fn backtrace(&mut self, cpu: &Cpu) -> Vec<String> {
        if cpu.mode() != Mode::Long64 || self.symbols(cpu.ip()).is_none() && !self.returns(cpu) {
            return Vec::new();
        }
        let mut lines: Vec<(String, usize)> = Vec::new();
        let mut registers = cpu.registers;
        let mut address = cpu.ip();
        let mut first = true;
        while lines.len() < FRAMES_MAX {
            // A return address is after the call, which may be the last instruction.
            let inside = address.wrapping_sub(u64::from(!first)); // 0 ends a stack
            let names: Vec<String> = match self.symbols(inside) {
                Some(symbols) => {
                    let frames = symbols.frames(inside);
                    let shown = frames.iter().map(|(name, place)| match place {
                        Some(place) => {
                            let file = crate::tour::record::short(&place.file);
                            format!("{name}, {file}:{}", place.line)
                        }
                        None => name.clone(),
                    });
                    shown.collect()
                }
                None if first => vec!["no code of the kernel".into()],
                None => break,
            };
            for name in names {
                match lines.last_mut() {
                    Some((last, count)) if *last == name => *count += 1,
                    _ => lines.push((name, 1)),
                }
            }
            let rule = self
                .symbols(inside)
                .and_then(|symbols| symbols.unwind(inside));
            let rule = match rule {
                Some(rule) => rule,
                // Without a table: a function that has not set up anything yet, or one
                // with a frame pointer.
                None if first => Unwind {
                    cfa: (RSP, 8),
                    saved: Vec::new(),
                },
                None => Unwind {
                    cfa: (RBP, 16),
                    saved: vec![(RBP, Rule::At(-16))],
                },
            };
            let cfa = registers[rule.cfa.0].wrapping_add_signed(rule.cfa.1);
            if cfa <= registers[RSP] {
                break; // it does not lead outwards
            }
            let mut before = registers;
            let mut read = |offset: i64| {
                let bytes = self.bytes(cpu, cfa.wrapping_add_signed(offset), 8);
                Some(u64::from_le_bytes(bytes.try_into().ok()?))
            };
            for (register, Rule::At(offset)) in rule.saved {
                if let Some(value) = read(offset) {
                    before[register] = value;
                }
            }
            let Some(next) = read(-8) else { break };
            before[RSP] = cfa;
            (registers, address, first) = (before, next, false);
            if lines.last().is_some_and(|(_, count)| *count > RECURSION) {
                break;
            }
        }
        lines
            .into_iter()
            .map(|(name, count)| match count {
                1 => name,
                2..=RECURSION => format!("{name} ({count} times)"),
                _ => format!("{name} (more than {RECURSION} times: endless recursion?)"),
            })
            .collect()
    }

    /// Whether the top of the stack looks like a return address.
    fn returns(&mut self, cpu: &Cpu) -> bool {
        let bytes = self.bytes(cpu, cpu.stack(), 8);
        let address = bytes.try_into().map(u64::from_le_bytes);
        address.is_ok_and(|address| self.symbols(address).is_some())
    }
}
