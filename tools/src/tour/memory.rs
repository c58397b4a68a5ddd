//! Repeats a recorded boot under QEMU's GDB stub, and finds what each step changed.
//!
//! The guest's memory is a file that QEMU shares, so it can be read here whenever the
//! guest is stopped. After each step, the ranges that it wrote are read; after a call
//! of the BIOS, all of low memory is compared. The registers of every step must be
//! those of the record: else the two boots differ, and nothing is shown at all. Only
//! what a device answers may differ.

use super::fold::{Kind, Step};
use super::record::Record;
use super::subject::Subject;
use crate::progress::Progress;
use crate::qemu::{Machine, Scratch, escaped};
use crate::recorder::REPEATABLE;
use crate::recorder::code::Flow;
use crate::recorder::cpu::{CR0_PE, Cpu, Mode, SEGMENTS};
use crate::recorder::paging::walk;
use crate::recorder::stub::{self, Registers, Stub};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The memory of the machine in MiB: as much as `make bench` gives it.
pub const MEMORY_MIB: u64 = 512;
/// The end of what firmware may change in low memory.
pub const LOW_END: u64 = 0xa0000;
/// The memory of the screen, in text mode.
pub const TEXT: u64 = 0xb8000;
/// Its size in bytes.
pub const TEXT_BYTES: usize = 80 * 25 * 2;
/// The video memory, which is not in the file.
const VIDEO: std::ops::Range<u64> = 0xa0000..0xc0000;
/// The video BIOS, which has the font.
const VIDEO_ROM: u64 = 0xc0000;
const VIDEO_ROM_BYTES: usize = 0x10000;
/// A range that is larger than this is recorded without its content, once
/// `CONTENT_MAX` bytes have been recorded.
const RANGE_MAX: u64 = 4096;
const CONTENT_MAX: u64 = 1 << 20;
/// A loop with more iterations is followed only to its end.
const ITERATIONS_MAX: u64 = 10_000;
/// The most bytes of a descriptor table that are watched.
const DESCRIPTORS_MAX: u64 = 256;
/// Instructions that write to the serial line or to port E9h.
const OUTPUT: [u8; 6] = [0xe6, 0xe7, 0xee, 0xef, 0x6e, 0x6f];

/// What a step changed.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Physical memory: the address and the bytes after the step. `None` is a range
    /// of that many bytes whose content was not recorded.
    pub memory: Vec<(u64, Content)>,
    /// What it read: linear address, physical address, length.
    pub read: Vec<(u64, u64, u64)>,
    /// What it wrote: linear address, physical address, length.
    pub touched: Vec<(u64, u64, u64)>,
    /// What came out of the serial line.
    pub serial: String,
    /// What came out of port E9h.
    pub debug: String,
    /// The call of the BIOS.
    pub call: Option<Call>,
}

/// What a range of memory holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes that were not recorded.
    Unknown(u64),
}

/// A call of the BIOS.
#[derive(Clone, Debug)]
pub struct Call {
    /// The number of the interrupt.
    pub number: u8,
    /// The state before it.
    pub before: Box<Cpu>,
    /// The state after it, if it returned.
    pub after: Option<Box<Cpu>>,
    /// The sectors that it read: first, count.
    pub sectors: Option<(u64, u64)>,
}

/// What was found.
pub struct Memory {
    /// For each step, what it changed.
    pub changes: Vec<Change>,
    /// Low memory before the first step.
    pub low: Vec<u8>,
    /// The screen before the first step.
    pub text: Vec<u8>,
    /// The video BIOS's font: 256 characters of 16 bytes.
    pub font: Option<Vec<u8>>,
}

struct Replay {
    stub: Stub,
    machine: Machine,
    ram: File,
    low: Vec<u8>,
    text: Vec<u8>,
    serial: usize,
    debug: usize,
    content: u64,
    geometry: Option<(u64, u64)>,
    /// The entries of page tables that were used, and the descriptors, as they were
    /// recorded last.
    entries: HashMap<u64, u64>,
    /// The steps before this one have been executed already.
    skip: usize,
    _scratch: Scratch,
}

/// The arguments for a machine whose memory is this file.
pub fn memory_arguments(file: &std::path::Path) -> [String; 4] {
    [
        "-object".into(),
        format!(
            "memory-backend-file,id=ram,size={MEMORY_MIB}M,mem-path={},share=on",
            escaped(file)
        ),
        "-machine".into(),
        "pc,memory-backend=ram".into(),
    ]
}

/// Repeats the recorded boot.
pub fn replay(subject: &Subject, record: &Record) -> Result<Memory, String> {
    let mut replay = Replay::start(subject).map_err(|error| format!("second boot: {error}"))?;
    let low = replay.low.clone();
    let text = replay.text.clone();
    let mut changes = Vec::with_capacity(record.steps.len());
    let mut progress = Progress::new();
    for (n, step) in record.steps.iter().enumerate() {
        progress.show(|| format!("repeating: step {n} of {}", record.steps.len()));
        let change = replay
            .step(subject, &record.steps, n)
            .map_err(|error| format!("second boot, instruction {}: {error}", step.number))?;
        changes.push(change);
    }
    let rom = replay.stub.memory(VIDEO_ROM, VIDEO_ROM_BYTES);
    Ok(Memory {
        changes,
        low,
        text,
        font: rom.ok().and_then(|rom| font(&rom)),
    })
}

/// Finds the font of 8x16 pixels in the video BIOS, by its letters A and B.
fn font(rom: &[u8]) -> Option<Vec<u8>> {
    const A: [u8; 16] = [
        0, 0, 0x10, 0x38, 0x6c, 0xc6, 0xc6, 0xfe, 0xc6, 0xc6, 0xc6, 0xc6, 0, 0, 0, 0,
    ];
    let at = rom.windows(16).position(|window| window == A)?;
    let start = at.checked_sub(usize::from(b'A') * 16)?;
    Some(rom.get(start..start + 256 * 16)?.to_vec())
}

impl Replay {
    fn start(subject: &Subject) -> io::Result<Replay> {
        let scratch = Scratch::new()?;
        let ram = scratch.path().join("ram");
        let socket = scratch.path().join("gdb");
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&ram)?;
        file.set_len(MEMORY_MIB << 20)?;
        let mut arguments: Vec<String> = REPEATABLE.map(String::from).into();
        // Where the clock may jump over idle time (sleep=off), it also jumps whenever
        // the stub stops the machine.
        arguments[3] = "shift=0,sleep=on".into();
        arguments.extend(subject.arguments.iter().cloned());
        arguments.extend(memory_arguments(&ram));
        arguments.extend(stub::arguments(&socket));
        let machine = Machine::start(&arguments)?;
        let mut stub = Stub::connect(&socket)?;
        stub.run_to_boot_sector(&machine, subject.entries)?;
        let mut replay = Replay {
            text: stub.memory(TEXT, TEXT_BYTES)?,
            stub,
            ram: file,
            low: Vec::new(),
            serial: machine.serial().len(),
            debug: machine.debug_port().len(),
            machine,
            content: 0,
            geometry: None,
            entries: HashMap::new(),
            skip: 0,
            _scratch: scratch,
        };
        replay.low = replay.read(0, LOW_END as usize)?;
        Ok(replay)
    }

    /// Reads physical memory.
    fn read(&mut self, address: u64, length: usize) -> io::Result<Vec<u8>> {
        if VIDEO.contains(&address) || address >= MEMORY_MIB << 20 {
            return self.stub.memory(address, length);
        }
        let mut bytes = vec![0; length];
        self.ram.read_exact_at(&mut bytes, address)?;
        Ok(bytes)
    }

    /// The physical addresses of a linear range, in pieces that lie in one page.
    fn physical(&self, cpu: &Cpu, address: u64, length: u64) -> Vec<(u64, u64, u64)> {
        let mut pieces: Vec<(u64, u64, u64)> = Vec::new();
        let (mut at, mut left) = (address, length);
        while left > 0 {
            let count = left.min(0x1000 - at % 0x1000);
            let walk = walk(cpu, at, |address| quad(&self.ram, address));
            if let Some(mut physical) = walk.physical {
                if !cpu.a20 {
                    physical &= !(1 << 20);
                }
                match pieces.last_mut() {
                    Some(last) if last.0 + last.2 == at && last.1 + last.2 == physical => {
                        last.2 += count;
                    }
                    _ => pieces.push((at, physical, count)),
                }
            }
            at = at.wrapping_add(count);
            left -= count;
        }
        pieces
    }

    /// Executes a step; finds what it changed.
    fn step(&mut self, subject: &Subject, steps: &[Step], n: usize) -> io::Result<Change> {
        if n < self.skip {
            return Ok(Change::default());
        }
        let (step, next) = (&steps[n], steps.get(n + 1));
        let mut registers = self.stub.registers()?;
        // What a device answers may differ, as the clock's seconds do. Then this boot
        // goes on with the recorded answer.
        let before = n.checked_sub(1).map(|n| steps[n].address);
        if before.is_some_and(|address| is_input(subject.code(address)))
            && registers.general[0] != step.cpu.registers[0]
        {
            registers.general[0] = step.cpu.registers[0];
            self.stub.set_rax(step.cpu.registers[0])?;
        }
        if let Some(difference) = difference(&registers, &step.cpu) {
            return Err(io::Error::other(format!(
                "this boot differs from the recorded one: {difference}"
            )));
        }
        let mut change = Change::default();
        for &(address, length) in &step.read {
            change
                .read
                .extend(self.physical(&step.cpu, address, length));
        }
        let mut written = Vec::new();
        for &(address, length) in &step.written {
            written.extend(self.physical(&step.cpu, address, length));
        }
        let interrupt = match step.kind {
            Kind::Instruction(Flow::Interrupt(number)) => Some(number),
            _ => None,
        };
        let sectors = match interrupt {
            Some(0x13) => self.sectors(&step.cpu)?,
            _ => None,
        };
        let Some(next) = next else {
            return Ok(change); // the boot ends here
        };
        match &step.kind {
            Kind::Fold {
                iterations, length, ..
            } => match loop_end(steps, n) {
                Some(end) => {
                    for step in &steps[n + 1..end] {
                        for &(address, length) in &step.written {
                            written.extend(self.physical(&step.cpu, address, length));
                        }
                    }
                    self.run_to(steps[end].address)?;
                    self.skip = end;
                }
                None => self.run_loop(step, *iterations, *length)?,
            },
            Kind::Instruction(_) => {
                self.stub.step()?;
                if interrupt.is_some() || self.stub.registers()?.rip != next.cpu.rip {
                    self.run_to(next.address)?;
                }
            }
        }
        change.touched = written.clone();
        for (_, physical, length) in written {
            self.record(&mut change, physical, length)?;
        }
        self.record_accessed(&mut change, step, next)?;
        let calls = match step.kind {
            Kind::Instruction(_) => interrupt.is_some() || step.firmware > 0,
            Kind::Fold { calls, .. } => calls > 0 || step.firmware > 0,
        };
        if calls {
            self.compare(&mut change)?;
        }
        let code = subject.code(step.address);
        if calls || step.count > 1 || code.iter().take(3).any(|byte| OUTPUT.contains(byte)) {
            let serial = self.machine.serial();
            let debug = self.machine.debug_port();
            change.serial = serial.get(self.serial..).unwrap_or_default().into();
            change.debug = debug.get(self.debug..).unwrap_or_default().into();
            (self.serial, self.debug) = (serial.len(), debug.len());
        }
        if let Some(number) = interrupt {
            if number == 0x13 && step.cpu.registers[0] >> 8 & 0xff == 8 {
                let (cx, dx) = (next.cpu.registers[1], next.cpu.registers[2]);
                self.geometry = Some(((dx >> 8 & 0xff) + 1, cx & 0x3f));
            }
            change.call = Some(Call {
                number,
                before: step.cpu.clone(),
                after: Some(next.cpu.clone()),
                sectors: sectors.filter(|_| next.cpu.rflags & 1 == 0),
            });
        }
        Ok(change)
    }

    /// Runs to an address, which is not the present one.
    fn run_to(&mut self, address: u64) -> io::Result<()> {
        self.stub.set_breakpoint(address)?;
        self.stub.go_on()?;
        self.stub.remove_breakpoint(address)
    }

    /// Runs the middle iterations of a loop, to where the next one begins.
    fn run_loop(&mut self, step: &Step, iterations: u64, length: usize) -> io::Result<()> {
        if length == 1 {
            for _ in 0..iterations {
                self.stub.step()?;
            }
            return Ok(());
        }
        self.stub.set_breakpoint(step.address)?;
        for _ in 0..iterations {
            self.stub.step()?; // off the breakpoint
            self.stub.go_on()?;
        }
        self.stub.remove_breakpoint(step.address)
    }

    /// Records the entries of page tables that the CPU itself has changed: it sets
    /// bits when it uses them (accessed, dirty).
    fn record_accessed(&mut self, change: &mut Change, step: &Step, next: &Step) -> io::Result<()> {
        let touched = change.read.iter().chain(&change.touched);
        let mut uses: Vec<(&Cpu, u64)> = touched
            .map(|&(linear, _, _)| (&*step.cpu, linear))
            .collect();
        for cpu in [&*step.cpu, &*next.cpu] {
            uses.extend([(cpu, cpu.ip()), (cpu, cpu.gdtr.base), (cpu, cpu.stack())]);
        }
        for (cpu, linear) in uses {
            let ram = &self.ram;
            for (address, entry) in walk(cpu, linear, |address| quad(ram, address)).entries {
                if self.entries.insert(address, entry) != Some(entry) {
                    self.record(change, address, 8)?;
                }
            }
        }
        // Loading a selector sets bits of its descriptor, too (accessed, busy).
        let gdtr = next.cpu.gdtr;
        let ram = &self.ram;
        if next.cpu.cr0 & CR0_PE != 0
            && let Some(start) = walk(&next.cpu, gdtr.base, |address| quad(ram, address)).physical
        {
            for n in 0..(u64::from(gdtr.limit) + 1).min(DESCRIPTORS_MAX) / 8 {
                let address = start + n * 8;
                if let Some(entry) = quad(&self.ram, address)
                    && self.entries.insert(address, entry) != Some(entry)
                {
                    self.record(change, address, 8)?;
                }
            }
        }
        Ok(())
    }

    /// Records what a range holds now.
    fn record(&mut self, change: &mut Change, address: u64, length: u64) -> io::Result<()> {
        if length > RANGE_MAX && self.content + length > CONTENT_MAX {
            change.memory.push((address, Content::Unknown(length)));
            return Ok(());
        }
        let bytes = self.read(address, length as usize)?;
        if bytes.iter().any(|&byte| byte != bytes[0]) {
            self.content += length;
        }
        copy(&mut self.low, 0, address, &bytes);
        copy(&mut self.text, TEXT, address, &bytes);
        change.memory.push((address, Content::Bytes(bytes)));
        Ok(())
    }

    /// Compares low memory and the screen with what they were.
    fn compare(&mut self, change: &mut Change) -> io::Result<()> {
        for (base, before) in [
            (0, std::mem::take(&mut self.low)),
            (TEXT, std::mem::take(&mut self.text)),
        ] {
            let now = self.read(base, before.len())?;
            for (address, length) in differences(&before, &now) {
                self.record(change, base + address as u64, length as u64)?;
            }
            if base == 0 {
                self.low = now;
            } else {
                self.text = now;
            }
        }
        Ok(())
    }

    /// The sectors that INT 13h is asked to read.
    fn sectors(&mut self, cpu: &Cpu) -> io::Result<Option<(u64, u64)>> {
        let [ax, cx, dx] = [0, 1, 2].map(|index| cpu.registers[index] & 0xffff);
        match ax >> 8 {
            0x42 => {
                let packet = cpu.segments[3].base + (cpu.registers[6] & 0xffff);
                let packet = self.read(packet, 16)?;
                let number = |at: usize, length: usize| {
                    packet[at..at + length]
                        .iter()
                        .rev()
                        .fold(0, |number, &byte| number << 8 | u64::from(byte))
                };
                Ok(Some((number(8, 8), number(2, 2))))
            }
            0x02 => Ok(self.geometry.map(|(heads, sectors)| {
                let cylinder = cx >> 8 | (cx & 0xc0) << 2;
                let track = cylinder * heads + (dx >> 8);
                (track * sectors + (cx & 0x3f) - 1, ax & 0xff)
            })),
            _ => Ok(None),
        }
    }
}

/// Where a loop ends whose iterations are too many to follow: the first step outside
/// of it. What its last iterations change is recorded together with the fold.
fn loop_end(steps: &[Step], n: usize) -> Option<usize> {
    let Kind::Fold {
        iterations, length, ..
    } = steps[n].kind
    else {
        return None;
    };
    if iterations <= ITERATIONS_MAX {
        return None;
    }
    let body = &steps[n + 1..n + 1 + length];
    let inside = |step: &Step| body.iter().any(|own| own.address == step.address);
    let after = steps[n + 1..].iter().position(|step| !inside(step))?;
    Some(n + 1 + after)
}

/// Reads a quadword of the guest's memory.
fn quad(ram: &File, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    ram.read_exact_at(&mut bytes, address).ok()?;
    Some(u64::from_le_bytes(bytes))
}

/// Copies bytes at an address into memory that begins at `base`, as far as they lie
/// in it.
fn copy(memory: &mut [u8], base: u64, address: u64, bytes: &[u8]) {
    for (at, &byte) in (address..).zip(bytes) {
        if let Some(offset) = at.checked_sub(base)
            && let Some(place) = memory.get_mut(offset as usize)
        {
            *place = byte;
        }
    }
}

/// The ranges that differ; small gaps belong to them.
fn differences(before: &[u8], now: &[u8]) -> Vec<(usize, usize)> {
    const LINE: usize = 4096;
    const GAP: usize = 4;
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (line, (one, other)) in before.chunks(LINE).zip(now.chunks(LINE)).enumerate() {
        if one == other {
            continue;
        }
        for (n, _) in one
            .iter()
            .zip(other)
            .enumerate()
            .filter(|(_, (a, b))| a != b)
        {
            let at = line * LINE + n;
            match ranges.last_mut() {
                Some(last) if at <= last.0 + last.1 + GAP => last.1 = at - last.0 + 1,
                _ => ranges.push((at, 1)),
            }
        }
    }
    ranges
}

/// Whether this is the code of an IN instruction.
fn is_input(code: &[u8]) -> bool {
    matches!(code.first(), Some(0xe4 | 0xe5 | 0xec | 0xed))
}

/// The first register in which two states differ. The log has 32 bits of each outside
/// of 64-bit code.
pub fn difference(registers: &Registers, cpu: &Cpu) -> Option<String> {
    let wide = cpu.mode() == Mode::Long64;
    let mask = if wide { u64::MAX } else { 0xffff_ffff };
    let mut pairs: Vec<(&str, u64, u64)> = vec![
        ("RIP", registers.rip & mask, cpu.rip),
        ("CR0", registers.cr0, cpu.cr0),
        ("CR3", registers.cr3, cpu.cr3),
        ("CR4", registers.cr4, cpu.cr4),
        ("EFER", registers.efer, cpu.efer),
        ("RFLAGS", registers.rflags, cpu.rflags),
    ];
    let count = if wide { 16 } else { 8 };
    for (index, name) in crate::recorder::cpu::REGISTERS
        .iter()
        .enumerate()
        .take(count)
    {
        pairs.push((
            name,
            registers.general[index] & mask,
            cpu.registers[index] & mask,
        ));
    }
    for (index, name) in SEGMENTS.iter().enumerate().take(6) {
        let selector = u64::from(registers.selectors[index]);
        pairs.push((name, selector, u64::from(cpu.segments[index].selector)));
    }
    let (name, one, other) = pairs.into_iter().find(|(_, one, other)| one != other)?;
    Some(format!("{name} is {one:#x}, not {other:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found() {
        let before = vec![0; 10_000];
        let mut now = before.clone();
        for at in [0, 1, 5, 4095, 4096, 9999] {
            now[at] = 1;
        }
        let expected = [(0, 6), (4095, 2), (9999, 1)];
        assert_eq!(differences(&before, &now), expected);
    }

    #[test]
    fn the_font_is_found_by_its_letters() {
        assert_eq!(font(&[0; 0x1000]), None);
    }
}
