//! Folds what repeats, while a boot is recorded.
//!
//! A loop becomes its first iteration, one step for the iterations in the middle, and
//! its last two iterations. Loops can contain loops. So the number of steps depends on the
//! program, and hardly on how much data it processes.

use crate::recorder::code::{Decoded, Flow};
use crate::recorder::cpu::{Cpu, Mode};
use std::collections::HashMap;

/// The most separate ranges that a folded step keeps.
const RANGES_MAX: usize = 4096;

/// A step of the tour: one instruction, or the middle iterations of a loop.
#[derive(Clone, Debug)]
pub struct Step {
    /// The number of its first instruction, from 0.
    pub number: u64,
    /// How many instructions of ours it has.
    pub count: u64,
    /// The state before it.
    pub cpu: Box<Cpu>,
    /// The linear address of its (first) instruction.
    pub address: u64,
    /// The mode in which it is executed.
    pub mode: Mode,
    /// The instructions that the firmware executes before the next step.
    pub firmware: u64,
    /// The memory that it writes: linear address and length, sorted, separate.
    pub written: Vec<(u64, u64)>,
    /// The memory that it reads; none for a folded step.
    pub read: Vec<(u64, u64)>,
    /// What kind of step it is.
    pub kind: Kind,
}

/// The kinds of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One instruction, and how it changes the flow.
    Instruction(Flow),
    /// The middle iterations of a loop.
    Fold {
        /// How many iterations.
        iterations: u64,
        /// How many steps the iteration after it has.
        length: usize,
        /// How many calls of the BIOS are in them.
        calls: u64,
    },
}

impl Step {
    /// A step of one instruction.
    pub fn new(number: u64, cpu: Box<Cpu>, decoded: Option<&Decoded>) -> Step {
        let mut written = Vec::new();
        let mut read = Vec::new();
        for touched in decoded.map(|code| code.touched(&cpu)).unwrap_or_default() {
            let ranges = if touched.written {
                &mut written
            } else {
                &mut read
            };
            ranges.push((touched.address, u64::from(touched.length)));
        }
        merge(&mut written);
        Step {
            number,
            count: 1,
            address: cpu.ip(),
            mode: cpu.mode(),
            cpu,
            firmware: 0,
            written,
            read,
            kind: Kind::Instruction(decoded.map_or(Flow::Next, Decoded::flow)),
        }
    }

    /// What must be equal for two steps to be the same part of a loop.
    fn same(&self, other: &Step) -> bool {
        let length = |step: &Step| match step.kind {
            Kind::Instruction(_) => 0,
            Kind::Fold { length, .. } => length,
        };
        self.address == other.address && self.mode == other.mode && length(self) == length(other)
    }

    fn is_fold(&self) -> bool {
        matches!(self.kind, Kind::Fold { .. })
    }
}

/// Sorts ranges and merges those that touch.
fn merge(ranges: &mut Vec<(u64, u64)>) {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for &(address, length) in ranges.iter() {
        match merged.last_mut() {
            Some(last) if address <= last.0.saturating_add(last.1) => {
                last.1 = last.1.max(address - last.0 + length);
            }
            _ => merged.push((address, length)),
        }
    }
    while merged.len() > RANGES_MAX {
        // Too many to keep: join neighbours.
        merged = merged
            .chunks(2)
            .map(|pair| {
                let last = pair[pair.len() - 1];
                (pair[0].0, last.0 + last.1 - pair[0].0)
            })
            .collect();
    }
    *ranges = merged;
}

/// The steps so far.
#[derive(Default)]
pub struct Folder {
    /// In the order of execution.
    pub steps: Vec<Step>,
    /// The place of the latest step at each address.
    latest: HashMap<(u64, Mode), usize>,
}

impl Folder {
    /// Adds the next instruction.
    pub fn add(&mut self, step: Step) {
        let key = (step.address, step.mode);
        let place = self.steps.len();
        self.steps.push(step);
        if let Some(before) = self.latest.insert(key, place) {
            self.fold(place, place - before);
        }
    }

    /// Folds an iteration if the last three, of `length` steps each, are the same.
    /// The next one begins at `end`.
    fn fold(&mut self, end: usize, length: usize) {
        if end < 2 * length || !self.equal(end - length, end - 2 * length, length) {
            return;
        }
        // The iteration from `from` on goes into the fold.
        let from = end - 2 * length;
        let into = match from.checked_sub(1).map(|before| &self.steps[before]) {
            Some(step) if step.is_fold() && self.is_middle(from - 1, from, length) => from - 1,
            _ if from >= length && self.equal(from, from - length, length) => {
                let first = &self.steps[from];
                let fold = Step {
                    number: first.number,
                    count: 0,
                    cpu: first.cpu.clone(),
                    address: first.address,
                    mode: first.mode,
                    firmware: 0,
                    written: Vec::new(),
                    read: Vec::new(),
                    kind: Kind::Fold {
                        iterations: 0,
                        length,
                        calls: 0,
                    },
                };
                self.steps.insert(from, fold);
                return self.absorb(from, from + 1, length);
            }
            _ => return,
        };
        self.absorb(into, from, length);
    }

    /// Whether the fold at `fold` is the middle of the loop whose next iteration is at
    /// `from`.
    fn is_middle(&self, fold: usize, from: usize, length: usize) -> bool {
        let (fold, first) = (&self.steps[fold], &self.steps[from]);
        fold.address == first.address
            && fold.mode == first.mode
            && matches!(fold.kind, Kind::Fold { length: own, .. } if own == length)
    }

    fn equal(&self, one: usize, other: usize, length: usize) -> bool {
        let mut places = (0..length).rev();
        places.all(|n| self.steps[one + n].same(&self.steps[other + n]))
    }

    /// Moves the `length` steps at `from` into the fold before them.
    fn absorb(&mut self, fold: usize, from: usize, length: usize) {
        let iteration: Vec<Step> = self.steps.drain(from..from + length).collect();
        let into = &mut self.steps[fold];
        let Kind::Fold {
            iterations, calls, ..
        } = &mut into.kind
        else {
            unreachable!("the caller found a fold")
        };
        *iterations += 1;
        for step in &iteration {
            into.count += step.count;
            into.firmware += step.firmware;
            match step.kind {
                Kind::Instruction(Flow::Interrupt(_)) => *calls += 1,
                Kind::Instruction(_) => {}
                Kind::Fold { calls: more, .. } => *calls += more,
            }
        }
        for step in iteration {
            match (into.written.last_mut(), &step.written[..]) {
                // The usual case: the next range follows directly.
                (Some(last), &[(address, length)]) if last.0 + last.1 == address => {
                    last.1 += length;
                }
                (_, []) => {}
                _ => {
                    into.written.extend(step.written);
                    merge(&mut into.written);
                }
            }
        }
        // The steps after it have moved.
        for (place, step) in self.steps.iter().enumerate().skip(from) {
            if !step.is_fold() {
                self.latest.insert((step.address, step.mode), place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folds a sequence of addresses; shows folds as `iterations*length`.
    fn folded(addresses: impl IntoIterator<Item = u64>) -> String {
        let mut folder = Folder::default();
        let mut count = 0;
        for (number, address) in addresses.into_iter().enumerate() {
            let cpu = Cpu {
                rip: address,
                ..Cpu::default()
            };
            folder.add(Step::new(number as u64, Box::new(cpu), None));
            count += 1;
        }
        let mut next = 0;
        for step in &folder.steps {
            assert_eq!(step.number, next, "no instruction is lost");
            next += step.count;
        }
        assert_eq!(next, count);
        let shown: Vec<String> = folder
            .steps
            .iter()
            .map(|step| match step.kind {
                Kind::Instruction(_) => step.address.to_string(),
                Kind::Fold {
                    iterations, length, ..
                } => format!("{iterations}*{length}"),
            })
            .collect();
        shown.join(" ")
    }

    #[test]
    fn what_does_not_repeat_stays() {
        assert_eq!(folded([1, 2, 3, 4]), "1 2 3 4");
        assert_eq!(folded([1, 2, 1, 2, 9]), "1 2 1 2 9");
    }

    #[test]
    fn loops_keep_their_first_and_last_iterations() {
        assert_eq!(folded([1, 1, 1, 1, 1, 2]), "1 2*1 1 1 2");
        assert_eq!(folded([1, 2, 1, 2, 1, 2, 1, 2, 3]), "1 2 1*2 1 2 1 2 3");
        // The last time, the loop is left in the middle.
        assert_eq!(folded([1, 2, 1, 2, 1, 2, 1, 3]), "1 2 1*2 1 2 1 3");
    }

    #[test]
    fn loops_in_loops() {
        let inner = [1, 2, 2, 2, 2, 2, 3];
        let outer = inner.repeat(10);
        let one = "1 2 2*1 2 2 3";
        assert_eq!(folded(outer), format!("{one} 7*6 {one} {one}"));
        // A different number of iterations inside makes no difference.
        let varied = (5..50).flat_map(|n| [vec![1], vec![2; n], vec![3]].concat());
        assert_eq!(
            folded(varied),
            "1 2 2*1 2 2 3 42*6 1 2 45*1 2 2 3 1 2 46*1 2 2 3"
        );
    }

    #[test]
    fn ranges_are_merged() {
        let mut ranges = vec![(8, 4), (0, 4), (4, 4), (20, 1)];
        merge(&mut ranges);
        assert_eq!(ranges, [(0, 12), (20, 1)]);
        let mut many: Vec<_> = (0..10_000).map(|n| (n * 2, 1)).collect();
        merge(&mut many);
        assert!(many.len() <= RANGES_MAX);
        assert_eq!(many[0].0, 0);
    }
}
