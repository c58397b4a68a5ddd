//! A machine that boots a loader, and watches one routine of it.

use crate::lab::{Check, Lab, Wants};
use crate::place::Places;
use crate::state;
use siso_book::loader::Built;
use siso_image::layout::{ELF_SECTORS, KERNEL_SECTOR, STAGE1_BASE};
use siso_image::qemu::{Machine, RFLAGS_IF, Scratch, disk, escaped, loader_error};
use siso_image::recorder::cpu::{Cpu, RSP};
use siso_image::recorder::log::{Entry, Exception, Parser};
use siso_image::recorder::stub::{self, Stub};
use siso_image::tour::bad_bios::BadBios;
use siso_image::why::words;
use siso_image::{SECTOR, layout};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a machine is looked at.
pub const POLL: Duration = Duration::from_millis(20);
/// Without a word from the loader for so long, it hangs: see [`Clock`].
pub const HANG: Duration = Duration::from_secs(10);
/// The most time for a boot, and the most bytes that it may print, and that QEMU may
/// log of it.
pub const LIMIT: Duration = Duration::from_secs(60);
pub const OUTPUT: usize = 64 << 10;
const LOG: u64 = 64 << 20;
/// What QEMU's monitor is told to write to port 92h for the A20 gate.
const CLOSE_GATE: &str = "o/b 0x92 0";
const OPEN_GATE: &str = "o/b 0x92 2";
/// How often an exit of the student's is looked at: the first times, since a loop may go
/// through it without end.
const VISITS: u32 = 40;
const RFLAGS_TF: u64 = 1 << 8;
/// Where memory is full of other bytes if a check wants that: where kernels are linked.
const GARBAGE: u64 = 0x20_0000;
const GARBAGE_BYTES: usize = 0x40_0000;
/// A CPU whose state is the same so many times in a row, and for so long, does nothing any
/// more.
pub const SAME: u32 = 25;
pub const STILL: Duration = Duration::from_millis(300);

/// Since when something lasts, in time of the CPU: on a busy machine a guest may wait long
/// for its turn. A machine is never so busy that a guest has less than a sixth of a CPU.
#[derive(Clone, Copy)]
pub struct Clock {
    wall: Instant,
    cpu: Option<Duration>,
}

impl Clock {
    /// From now on.
    pub fn new(machine: &Machine) -> Clock {
        Clock {
            wall: Instant::now(),
            cpu: machine.cpu_time(),
        }
    }

    /// How long it lasts.
    pub fn elapsed(&self, machine: &Machine) -> Duration {
        let used = || Some(machine.cpu_time()?.saturating_sub(self.cpu?));
        used().unwrap_or_default().max(self.wall.elapsed() / 6)
    }
}

/// How a boot ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel says hello.
    Boots,
    /// The text that was wanted is on the screen.
    Shows,
    /// The loader shows this error.
    Error(String),
    /// The machine is reset, by this exception if it is known.
    Reset(Option<String>),
    /// Nothing happens any more.
    Hangs,
    /// It prints without end.
    Floods,
    /// The routine returned to a wrong address.
    Strays {
        /// The address.
        to: u64,
        /// The address that it should have returned to, as a place.
        back: String,
        /// The bytes on its stack that should not be there any more.
        left: i64,
    },
}

/// How far the boot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody looked.
    Unknown,
    /// The routine was not called.
    Before,
    /// It was called, and did not return.
    Inside,
    /// It returned.
    After,
}

/// What was seen of a boot.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How it ended.
    pub outcome: Outcome,
    /// How far it came.
    pub phase: Phase,
    /// Where it ended, if it did not boot.
    pub place: Option<String>,
    /// The registers that the routine should have kept: name, before, after.
    pub changed: Vec<(String, u64, u64)>,
    /// For each item of the lab's state, what the routine left, line by line.
    pub state: Vec<Vec<String>>,
}

/// A loader with a kernel.
pub struct Subject {
    /// The image to boot.
    pub image: Vec<u8>,
    /// The loader, with symbols.
    pub elf: Vec<u8>,
    /// The address of the routine to watch.
    pub routine: Option<u64>,
    /// The student's instructions from which it may return, or go anywhere else.
    pub exits: Vec<u64>,
}

impl Subject {
    /// The loader as it was built, with a kernel.
    pub fn new(built: Built, lab: &Lab, text: &str, kernel: &Path) -> Result<Subject, String> {
        let missing = || format!("there is no global label `{}` any more", lab.routine);
        Ok(Subject {
            image: built.image(kernel)?,
            routine: Some(built.address(&lab.routine).ok_or_else(missing)?),
            exits: Places::new(&built.elf, lab)?.exits(text),
            elf: built.elf,
        })
    }

    /// The project's own.
    pub fn reference(lab: &Lab, kernel: &Path) -> Result<Subject, String> {
        let symbols = siso_image::recorder::symbols::Symbols::read(siso_image::LOADER_ELF)?;
        let missing = || format!("the loader has no routine `{}`", lab.routine);
        Ok(Subject {
            image: siso_book::image_of(kernel)?.bytes,
            elf: siso_image::LOADER_ELF.to_vec(),
            routine: Some(symbols.address(&lab.routine).ok_or_else(missing)?),
            exits: Vec::new(),
        })
    }
}

/// A machine that runs.
pub struct Guest<'elf> {
    machine: Machine,
    /// For [`state`].
    pub stub: Stub,
    /// The places of the loader.
    pub places: Places<'elf>,
    /// The image that it boots.
    pub image: Vec<u8>,
    log: PathBuf,
    started: Clock,
    /// The last address in the loader that was seen.
    last: Option<u64>,
    /// Whether the CPU was in a HLT instruction when it was looked at.
    halted: bool,
    _scratch: Scratch,
}

/// Boots a loader on the machine of a check.
pub fn boot(subject: &Subject, lab: &Lab, check: &Check) -> Result<Seen, String> {
    let about = |error: io::Error| format!("QEMU cannot be watched: {error}");
    let scratch = Scratch::new().map_err(about)?;
    let mut guest = start(subject, lab, check, scratch)?;
    guest.watch(subject, lab, check).map_err(about)
}

fn start<'elf>(
    subject: &'elf Subject,
    lab: &Lab,
    check: &Check,
    scratch: Scratch,
) -> Result<Guest<'elf>, String> {
    let about = |error: io::Error| format!("QEMU cannot be started: {error}");
    let file = |name: &str| scratch.path().join(name);
    let mut image = subject.image.clone();
    if let Some(part) = &check.damage {
        damage(&mut image, part)?;
    }
    fs::write(file("image"), &image).map_err(about)?;
    let mut arguments: Vec<String> = Vec::new();
    let mut entries = 1;
    if check.bios.is_some() || !check.map.is_empty() {
        entries = 2;
        let mut bios = BadBios::assemble_of(&siso_book::top(), scratch.path())?;
        if let Some(settings) = &check.bios {
            bios.set(settings)?;
        }
        if !check.map.is_empty() {
            bios.set_memory_map(&check.map)?;
        }
        fs::write(file("bios.img"), &bios.bytes).map_err(about)?;
        for (device, name) in [("ide-hd", "bios.img"), ("virtio-blk-pci", "image")] {
            arguments.extend([
                "-drive".into(),
                format!(
                    "if=none,id={device},format=raw,file={}",
                    escaped(&file(name))
                ),
                "-device".into(),
                format!("{device},drive={device},bootindex={}", arguments.len() / 4),
            ]);
        }
    } else {
        arguments.extend(disk(&file("image")));
    }
    if check.garbage {
        fs::write(file("garbage"), vec![0xa5; GARBAGE_BYTES]).map_err(about)?;
        let name = escaped(&file("garbage"));
        let device = format!("loader,file={name},addr={GARBAGE:#x},force-raw=on");
        arguments.extend(["-device".into(), device]);
    }
    let log = file("log");
    arguments.extend(["-nic".into(), "none".into()]);
    arguments.extend(["-d", "int,cpu_reset", "-D"].map(String::from));
    arguments.push(escaped(&log));
    arguments.extend(check.qemu.iter().cloned());
    let socket = file("gdb");
    arguments.extend(stub::arguments(&socket));
    let machine = Machine::start(&arguments).map_err(about)?;
    let started = Clock::new(&machine);
    let mut stub = Stub::connect(&socket).map_err(about)?;
    stub.run_to_boot_sector(&machine, entries).map_err(about)?;
    Ok(Guest {
        machine,
        stub,
        places: Places::new(&subject.elf, lab)?,
        image,
        log,
        started,
        last: None,
        halted: false,
        _scratch: scratch,
    })
}

/// Flips a bit in a part of an image, which nothing corrects.
fn damage(image: &mut [u8], part: &str) -> Result<(), String> {
    let field = |address: u64| {
        let at = (address - STAGE1_BASE) as usize;
        u32::from_le_bytes(image[at..at + 4].try_into().expect("four bytes")) as usize
    };
    let kernel = field(KERNEL_SECTOR);
    let sector = match part {
        "stage 2" => 5,
        "checksum table" => field(layout::CHECKSUMS_SECTOR),
        "headers" => kernel,
        "kernel" => kernel + field(ELF_SECTORS) + 1,
        _ => return Err(format!("an image has no part '{part}'")),
    };
    image[sector * SECTOR + 17] ^= 0x10;
    Ok(())
}

impl Guest<'_> {
    fn watch(&mut self, subject: &Subject, lab: &Lab, check: &Check) -> io::Result<Seen> {
        let mut seen = Seen {
            outcome: Outcome::Boots,
            phase: Phase::Before,
            place: None,
            changed: Vec::new(),
            state: Vec::new(),
        };
        seen.outcome = match subject.routine {
            Some(routine) => self.watch_routine(routine, subject, lab, check, &mut seen)?,
            None => self.wait(&check.wants)?.unwrap_or(Outcome::Hangs),
        };
        if !matches!(seen.outcome, Outcome::Boots | Outcome::Shows) {
            seen.place = self.last.map(|address| self.places.name(address));
        }
        Ok(seen)
    }

    /// Stops when the routine is called, for the time that the check says, and when it returns.
    fn watch_routine(
        &mut self,
        routine: u64,
        subject: &Subject,
        lab: &Lab,
        check: &Check,
        seen: &mut Seen,
    ) -> io::Result<Outcome> {
        let wants = &check.wants;
        self.stub.set_breakpoint(routine)?;
        for call in 1..=check.call {
            if let Some(outcome) = self.wait(wants)? {
                return Ok(outcome);
            }
            seen.phase = Phase::Inside;
            if call < check.call {
                self.stub.step()?; // off the breakpoint
            }
        }
        self.stub.remove_breakpoint(routine)?;
        let before = self.cpu()?;
        let bytes = u64::from(before.mode().bits() / 8);
        let back = self.stub.memory(before.stack(), bytes as usize)?;
        let back = back.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b));
        if check.equal > 0 {
            self.machine.command(CLOSE_GATE)?;
            for _ in 0..check.equal {
                self.stub.step()?;
            }
            self.machine.command(OPEN_GATE)?;
        }
        self.stub.set_breakpoint(back)?;
        if let Some(outcome) = self.wait_for_return(&before, bytes, back, &subject.exits, wants)? {
            return Ok(outcome);
        }
        seen.phase = Phase::After;
        self.stub.remove_breakpoint(back)?;
        let after = self.cpu()?;
        seen.changed = changed(&before, &after, bytes, lab);
        seen.state = state::read(self, &after, lab);
        Ok(self.wait(wants)?.unwrap_or(Outcome::Hangs))
    }

    /// Lets the machine run until the routine is back: `None`, or how the boot ends before.
    /// On the way, each exit of the student's must lead to code that can go on. The return
    /// address has `bytes` bytes.
    fn wait_for_return(
        &mut self,
        before: &Cpu,
        bytes: u64,
        back: u64,
        exits: &[u64],
        wants: &Wants,
    ) -> io::Result<Option<Outcome>> {
        let mut left: BTreeMap<u64, u32> = exits.iter().map(|&exit| (exit, VISITS)).collect();
        for &exit in exits {
            self.stub.set_breakpoint(exit)?;
        }
        let end = loop {
            if let Some(outcome) = self.wait(wants)? {
                return Ok(Some(outcome));
            }
            let cpu = self.cpu()?;
            let Some(visits) = left.get_mut(&cpu.ip()) else {
                break None;
            };
            *visits -= 1;
            if *visits == 0 {
                left.remove(&cpu.ip());
                self.stub.remove_breakpoint(cpu.ip())?;
            }
            self.stub.step()?;
            let after = self.cpu()?;
            let to = after.ip();
            if to == back {
                break None;
            }
            // While the CPU is traced, the next instruction is the handler's.
            if cpu.rflags & RFLAGS_TF == 0 && !self.places.may_go_to(to) {
                self.last = Some(cpu.ip());
                break Some(Outcome::Strays {
                    to,
                    back: self.places.name(back),
                    left: (before.stack() + bytes).wrapping_sub(after.stack()) as i64,
                });
            }
        };
        for &exit in left.keys() {
            self.stub.remove_breakpoint(exit)?;
        }
        Ok(end)
    }

    /// The state of the CPU.
    pub fn cpu(&mut self) -> io::Result<Cpu> {
        let text = self.machine.command("info registers")?;
        self.halted = text.contains("HLT=1");
        let mut parser = Parser::new(true);
        parser.add(format!("Trace 0: 0x0\n{text}\nTrace 0: 0x0\n").as_bytes());
        match parser.next() {
            Some(Entry::Instruction(cpu)) => Ok(*cpu),
            _ => Err(io::Error::other(format!("no registers: {text}"))),
        }
    }

    /// Lets the machine run. `None` if a breakpoint stops it, or how the boot ends.
    fn wait(&mut self, wants: &Wants) -> io::Result<Option<Outcome>> {
        let now = Clock::new(&self.machine);
        let (mut said, mut changed) = (String::new(), now);
        let (mut state, mut same, mut still) = (Cpu::default(), 0, now);
        self.stub.run()?;
        loop {
            match self.stub.has_stopped(POLL) {
                Ok(true) => return Ok(None),
                Ok(false) => {}
                Err(_) => return self.reset().map(Some), // QEMU has ended
            }
            let now = self.machine.debug_port() + &self.machine.serial();
            if now.contains("This is the kernel") {
                return Ok(Some(Outcome::Boots));
            }
            if let Wants::Shows(text) = wants
                && let Ok(screen) = self.machine.screen()
                && screen.to_string().contains(text)
            {
                return Ok(Some(Outcome::Shows));
            }
            if let Some(error) = loader_error(&now) {
                return Ok(Some(Outcome::Error(error)));
            }
            if now.len() > OUTPUT {
                return Ok(Some(Outcome::Floods));
            }
            // Exceptions without end: a loop that the BIOS traps, for example.
            if fs::metadata(&self.log).is_ok_and(|about| about.len() > LOG) {
                return Ok(Some(Outcome::Hangs));
            }
            let Ok(cpu) = self.cpu() else { continue }; // it is ending
            if self.places.has(cpu.ip()) {
                self.last = Some(cpu.ip());
            }
            if now != said {
                (said, changed) = (now, Clock::new(&self.machine));
                same = 0;
            }
            // Nothing of the loader waits for an interrupt, or jumps to itself.
            let waits = self.halted && (cpu.rflags & RFLAGS_IF == 0 || self.places.has(cpu.ip()));
            let stands = cpu == state && (waits || self.places.has(cpu.ip()));
            if !stands {
                (same, still) = (0, Clock::new(&self.machine));
            }
            same += 1;
            let is_still = waits || still.elapsed(&self.machine) > STILL;
            let hangs = changed.elapsed(&self.machine) > HANG
                || self.started.elapsed(&self.machine) > LIMIT;
            if (same >= SAME && is_still) || hangs {
                return Ok(Some(Outcome::Hangs));
            }
            state = cpu;
        }
    }

    /// Why QEMU has ended: the exception that led to the triple fault is in its log.
    fn reset(&mut self) -> io::Result<Outcome> {
        self.machine.wait_for_end(HANG)?;
        let mut log = Vec::new();
        File::open(&self.log)?.take(LOG).read_to_end(&mut log)?;
        let mut parser = Parser::new(true);
        parser.add(&log);
        let mut chain: Vec<Exception> = Vec::new();
        let mut first = None;
        // The last entry is complete only because nothing follows it.
        while let Some(entry) = parser.next().or_else(|| parser.take_last()) {
            match entry {
                Entry::Exception(exception) => {
                    // Those that follow from one have its address.
                    let from = |last: &Exception| last.cpu.rip == exception.cpu.rip;
                    if !chain.last().is_some_and(from) {
                        chain.clear();
                    }
                    chain.push(*exception);
                }
                Entry::TripleFault => first = chain.first().cloned(),
                Entry::Instruction(_) => {}
            }
        }
        let Some(first) = first else {
            return Ok(Outcome::Reset(None));
        };
        self.last = Some(first.cpu.ip());
        Ok(Outcome::Reset(Some(words::exception(&first))))
    }
}

/// The registers that a routine did not keep. Its own stack pointer is past the return
/// address of `bytes` bytes.
fn changed(before: &Cpu, after: &Cpu, bytes: u64, lab: &Lab) -> Vec<(String, u64, u64)> {
    let mut changed = Vec::new();
    for name in &lab.keeps {
        if let (Some(old), Some(new)) =
            (state::register(before, name), state::register(after, name))
            && old != new
        {
            changed.push((name.to_uppercase(), old, new));
        }
    }
    // In the width that it has now: only part of it may be what it was.
    let width = |bits: u64| u64::MAX >> (64 - bits);
    let wanted = before.registers[RSP].wrapping_add(bytes) & width(bytes * 8);
    let bits = after.mode().bits();
    let sp = after.registers[RSP] & width(bits.into());
    if sp != wanted {
        let name = match bits {
            16 => "SP",
            32 => "ESP",
            _ => "RSP",
        };
        changed.push((name.into(), wanted, sp));
    }
    changed
}
