//! `siso-image why`: why a guest died.
//!
//! It boots the same image again under the [recorder](crate::recorder), waits until it
//! dies in the same way, and looks: at the exceptions (`words` decodes them), at the
//! page tables (`address`), at the last instructions, and at the stack
//! (`backtrace`).

mod address;
mod backtrace;
pub mod words;

use crate::layout::DIE_WAIT;
use crate::qemu::disk;
use crate::recorder::code::{Flow, decode};
use crate::recorder::cpu::{Cpu, Mode, REGISTERS, RFLAGS_IF};
use crate::recorder::log::Exception;
use crate::recorder::symbols::{Place, Symbols};
use crate::recorder::{Begin, Detail, Event, Recorder};
use crate::{LOADER_ELF, elf::Kernel};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many of the last instructions are kept, to find a loop.
const LAST: usize = 4096;
/// How many of the last instructions are shown.
const SHOWN: usize = 8;
/// After this time without an instruction of the loader or the kernel, the CPU is
/// asked what it does instead.
const QUIET: Duration = Duration::from_secs(3);
/// An instruction that jumps to itself so many times does not stop.
const SAME: u32 = 1000;

/// How long a guest is recorded that does not stop, if nobody says how long.
pub const LIMIT: Duration = Duration::from_secs(30);
/// A guest also gets this many instructions, so that a busy host does not change the
/// answer, unless that takes so many times the limit.
const INSTRUCTIONS_MIN: u64 = 300_000;
const LIMITS_MAX: u32 = 10;

/// A guest that is booted again.
struct Guest<'elf> {
    loader: Symbols<'elf>,
    kernel: Symbols<'elf>,
    recorder: Recorder,
    last: VecDeque<Cpu>,
    /// How many instructions were recorded.
    count: u64,
    /// The exceptions since the last instruction.
    exceptions: Vec<Exception>,
    /// Pages of physical memory that have been read since the machine stopped.
    pages: HashMap<u64, Option<Vec<u8>>>,
}

/// How a guest ended.
enum End {
    TripleFault,
    /// The CPU waits, and no interrupt can wake it.
    Halted,
    /// The loader has reported an error.
    Error,
    /// Neither the loader nor the kernel executes anything.
    Elsewhere,
    /// It goes on after the time limit.
    Running,
    /// It ended QEMU.
    Ended,
}

/// Boots an image again and explains how it ends. `flags` are the arguments for QEMU of
/// the first run. A guest that has not ended after `limit` is explained as it is then.
pub fn explain(
    image: &Path,
    elf: &[u8],
    flags: &[String],
    limit: Duration,
) -> Result<String, String> {
    let about = |error: io::Error| format!("the guest cannot be explained: {error}");
    let bytes = std::fs::read(image).map_err(about)?;
    Kernel::parse(elf, true).map_err(|error| error.to_string())?;
    let (loader, kernel) = (Symbols::read(LOADER_ELF)?, Symbols::read(elf)?);
    let ranges: Vec<RangeInclusive<u64>> = [loader.code(), kernel.code()].concat();
    let mut arguments: Vec<String> = disk(image).into();
    arguments[1] += ",snapshot=on";
    arguments.push("-no-shutdown".into()); // so that the machine can be asked
    arguments.extend(usable(flags));
    let record = |begin| Recorder::start(&arguments, &ranges, Detail::State, begin);
    // Most guests die in the kernel; then most of the loader need not be recorded.
    let end = loader.address("start_kernel").expect("the loader has it");
    let recorder = record(Begin::Loader(end)).or_else(|error| match error.kind() {
        ErrorKind::TimedOut => record(Begin::BootSector(1)),
        _ => Err(error),
    });
    let recorder = recorder.map_err(about)?;
    let mut guest = Guest {
        loader,
        kernel,
        recorder,
        last: VecDeque::new(),
        count: 0,
        exceptions: Vec::new(),
        pages: HashMap::new(),
    };
    let end = guest.run(limit).map_err(about)?;
    if !matches!(end, End::Ended) {
        guest.recorder.ignore_rest().map_err(about)?;
        guest.recorder.machine.command("stop").map_err(about)?;
    }
    guest.explain(&end, &bytes).map_err(about)
}

/// The arguments that do not concern what a recorder uses itself: the display, the
/// monitor, the serial line, the accelerator and the log.
fn usable(flags: &[String]) -> Vec<String> {
    const WITH_VALUE: [&str; 14] = [
        "-display",
        "-serial",
        "-monitor",
        "-qmp",
        "-d",
        "-D",
        "-dfilter",
        "-gdb",
        "-accel",
        "-icount",
        "-rtc",
        "-debugcon",
        "-chardev",
        "-vnc",
    ];
    const ALONE: [&str; 8] = [
        "-nographic",
        "-S",
        "-s",
        "-enable-kvm",
        "-no-reboot",
        "-no-shutdown",
        "-singlestep",
        "-curses",
    ];
    let mut usable = Vec::new();
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        if WITH_VALUE.contains(&flag.as_str()) {
            flags.next();
        } else if !ALONE.contains(&flag.as_str()) {
            usable.push(flag.clone());
        }
    }
    usable
}

impl<'elf> Guest<'elf> {
    fn run(&mut self, limit: Duration) -> io::Result<End> {
        let start = Instant::now();
        let mut since = start;
        let (mut same, mut errors) = (0, 0);
        loop {
            let elapsed = start.elapsed();
            if elapsed > limit && self.count >= INSTRUCTIONS_MIN
                || elapsed > limit.saturating_mul(LIMITS_MAX)
            {
                return Ok(End::Running);
            }
            match self.recorder.event()? {
                Event::Instruction(cpu) => {
                    since = Instant::now();
                    self.count += 1;
                    same = match self.last.back() {
                        Some(last) if *last == *cpu => same + 1,
                        _ => 0,
                    };
                    errors += u32::from(errors > 0 || cpu.ip() == DIE_WAIT);
                    self.exceptions.clear();
                    if self.last.len() == LAST {
                        self.last.pop_front();
                    }
                    self.last.push_back(*cpu);
                    if same > SAME {
                        return Ok(End::Running);
                    }
                    if errors > 100 {
                        return Ok(End::Error);
                    }
                }
                Event::Exception(exception) => self.exceptions.push(*exception),
                Event::TripleFault => return Ok(End::TripleFault),
                Event::End => return Ok(End::Ended),
                Event::Quiet => {
                    let interrupts = self
                        .last
                        .back()
                        .is_some_and(|cpu| cpu.rflags & RFLAGS_IF != 0);
                    if !interrupts && self.recorder.is_halted()? {
                        return Ok(End::Halted);
                    }
                    if since.elapsed() > QUIET {
                        return Ok(End::Elsewhere);
                    }
                }
            }
        }
    }

    fn symbols(&self, address: u64) -> Option<&Symbols<'elf>> {
        [&self.loader, &self.kernel]
            .into_iter()
            .find(|symbols| symbols.has(address))
    }

    /// The function and the line of an address.
    fn place(&self, address: u64) -> String {
        let Some(symbols) = self.symbols(address) else {
            return "no code of the loader or the kernel".into();
        };
        let frames = symbols.frames(address);
        let name = frames.first().map_or("?", |(name, _)| name);
        let place = frames
            .first()
            .and_then(|(_, place)| place.clone())
            .or_else(|| symbols.place(address));
        match place {
            Some(Place { file, line }) => {
                format!("{name}, {}:{line}", crate::tour::record::short(&file))
            }
            None => name.into(),
        }
    }

    /// The bytes at an address: from memory, or where that fails from the ELF file.
    fn bytes(&mut self, cpu: &Cpu, address: u64, count: usize) -> Vec<u8> {
        if let Some(physical) = self.walk(cpu, address).physical
            && let Some(bytes) = self.physical(physical, count)
        {
            return bytes;
        }
        let symbols = self.symbols(address);
        symbols.map_or(Vec::new(), |symbols| symbols.bytes(address, count).to_vec())
    }

    fn instruction(&mut self, cpu: &Cpu) -> String {
        let bytes = self.bytes(cpu, cpu.ip(), 15);
        let text = decode(cpu, &bytes).map_or("(no instruction)".into(), |code| code.text());
        format!("{:#x}  {text}  ({})", cpu.ip(), self.place(cpu.ip()))
    }

    fn explain(&mut self, end: &End, image: &[u8]) -> io::Result<String> {
        let mut out = String::new();
        let exceptions = std::mem::take(&mut self.exceptions);
        let last = self.last.back().cloned().unwrap_or_default();
        match end {
            End::TripleFault => self.triple_fault(&mut out, &exceptions, image),
            End::Halted => {
                let _ = writeln!(
                    out,
                    "The CPU waits (HLT) with interrupts off: nothing can wake it."
                );
            }
            End::Error => {
                let serial = self.recorder.machine.serial();
                let error = serial.lines().rev().find(|line| line.starts_with('E'));
                let _ = writeln!(
                    out,
                    "The loader stopped: {}",
                    error.unwrap_or("it waits for a key, after an error message")
                );
                let _ = writeln!(out, "See docs/errors.md.");
            }
            End::Elsewhere => self.elsewhere(&mut out)?,
            End::Running => self.running(&mut out),
            End::Ended => {
                let _ = writeln!(out, "The guest ended QEMU by itself.");
            }
        }
        // What the first exception saw is the state of the program.
        let cpu = exceptions.first().map_or(&last, |first| &first.cpu).clone();
        let _ = writeln!(out, "\nLast instructions:");
        let shown: Vec<Cpu> = self.last.iter().rev().take(SHOWN).cloned().collect();
        for cpu in shown.iter().rev() {
            let line = self.instruction(cpu);
            let _ = writeln!(out, "  {line}");
        }
        let _ = writeln!(out, "\nRegisters ({}):", cpu.mode());
        registers(&mut out, &cpu);
        let frames = self.backtrace(&cpu);
        if !frames.is_empty() {
            let _ = writeln!(out, "\nBacktrace:");
            for line in frames {
                let _ = writeln!(out, "  {line}");
            }
        }
        Ok(out)
    }

    fn triple_fault(&mut self, out: &mut String, exceptions: &[Exception], image: &[u8]) {
        let _ = writeln!(out, "A triple fault reset the machine:");
        for (n, exception) in exceptions.iter().enumerate() {
            let text = words::exception(exception);
            let _ = writeln!(out, "  {}. {text}", n + 1);
            if exception.vector == words::PAGE_FAULT {
                let address = exception.cpu.cr2;
                let what = self.describe(&exception.cpu, address, image);
                let _ = writeln!(out, "     CR2 {address:#x}: {what}");
            }
            if n == 0 {
                let instruction = self.instruction(&exception.cpu);
                let _ = writeln!(out, "     at {instruction}");
            }
            if n + 1 == exceptions.len() && exception.cpu.idtr.limit == 0 {
                let _ = writeln!(
                    out,
                    "     There is no interrupt table (IDTR limit 0), so no handler can be called."
                );
            }
        }
        let _ = writeln!(
            out,
            "  {}. The CPU gave up: an exception while it called the handler of a double fault.",
            exceptions.len() + 1
        );
    }

    fn running(&mut self, out: &mut String) {
        // The loop: what the last instructions have in common.
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let addresses: Vec<u64> = self.last.iter().map(Cpu::ip).collect();
        let half = &addresses[addresses.len() / 2..];
        let distinct: BTreeSet<u64> = half.iter().copied().collect();
        for &address in half {
            *places.entry(self.place(address)).or_default() += 1;
        }
        let interrupts = self
            .last
            .back()
            .is_some_and(|cpu| cpu.rflags & RFLAGS_IF != 0);
        let _ = writeln!(
            out,
            "It did not stop within {} instructions: it executes the same {} again and again, with interrupts {}:",
            self.count,
            distinct.len(),
            if interrupts { "on" } else { "off" }
        );
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (place, count) in places.iter().take(6) {
            let share = count * 100 / half.len().max(1);
            let _ = writeln!(out, "  {share:3} % in {place}");
        }
        let last = self.last.back().cloned().unwrap_or_default();
        let bytes = self.bytes(&last, last.ip(), 15);
        let jumps = decode(&last, &bytes).is_some_and(|code| code.is_endless() || code.repeats());
        if distinct.len() == 1 && last.mode() == Mode::Real && !jumps {
            let _ = writeln!(
                out,
                "It causes an exception, whose handler in the firmware returns to it."
            );
        }
    }

    fn elsewhere(&mut self, out: &mut String) -> io::Result<()> {
        let seen = self.recorder.machine.command("info registers")?;
        let field = |name: &str| {
            let start = seen.find(name)? + name.len();
            let text = &seen[start..];
            let end = text.find(|c: char| !c.is_ascii_hexdigit())?;
            u64::from_str_radix(&text[..end], 16).ok()
        };
        let ip = field("RIP=").or_else(|| field("EIP=")).unwrap_or(0);
        let cs = field("CS =").unwrap_or(0);
        let halted = seen.contains("HLT=1");
        let _ = writeln!(
            out,
            "Neither the loader nor the kernel executes anything any more: the CPU {} at {cs:x}:{ip:x}, \
             which is {}.",
            if halted {
                "waits for an interrupt"
            } else {
                "is"
            },
            match self.symbols(ip) {
                Some(_) => self.place(ip),
                None if cs >= 0xc000 || (0xc0000..0x100000).contains(&ip) => "the firmware".into(),
                None => "no code of theirs".into(),
            }
        );
        let last = self.last.back().cloned().unwrap_or_default();
        if last.mode() == Mode::Real {
            let bytes = self.bytes(&last, last.ip(), 15);
            match decode(&last, &bytes) {
                None => {
                    let _ = writeln!(out, "The last one is no valid instruction (#UD).");
                }
                Some(code) if matches!(code.flow(), Flow::Interrupt(_)) => {
                    let _ = writeln!(out, "The last one called the BIOS, which did not return.");
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn registers(out: &mut String, cpu: &Cpu) {
    let (width, count) = match cpu.mode() {
        Mode::Long64 => (16, 16),
        _ => (8, 8),
    };
    for (n, (name, value)) in REGISTERS.iter().zip(cpu.registers).take(count).enumerate() {
        let end = if n % 4 == 3 { "\n" } else { "" };
        let _ = write!(out, "  {name:3} {value:0width$x}{end}");
    }
    let _ = writeln!(
        out,
        "  rip {:0width$x}  rflags {:x}  cs {:x}  ss {:x}",
        cpu.rip, cpu.rflags, cpu.segments[1].selector, cpu.segments[2].selector
    );
    let _ = writeln!(
        out,
        "  cr0 {:x}  cr2 {:x}  cr3 {:x}  cr4 {:x}  efer {:x}",
        cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4, cpu.efer
    );
}
