//! Records a boot: boots an image in QEMU and yields the instructions that the
//! CPU executes in a range of addresses, in order, each with the CPU's state
//! before it.
//!
//! QEMU translates one instruction at a time and writes the state of the CPU to its
//! log before each one. The log is a pipe, read while it is written, so a long boot
//! fills neither memory nor disk. [`log`] parses it, [`cpu`] holds a state,
//! [`code`] decodes instructions, [`symbols`] finds their source lines, [`stub`]
//! drives a second run of the same boot, [`paging`] walks page tables.

pub mod code;
pub mod cpu;
pub mod log;
pub mod paging;
pub mod stub;
pub mod symbols;

use crate::qemu::{self, Machine, Scratch, escaped};
use cpu::Cpu;
use log::{Entry, Parser};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use stub::Stub;

/// Makes a boot repeatable: the clock counts instructions, and the date is fixed.
pub const REPEATABLE: [&str; 6] = [
    "-accel",
    "tcg",
    "-icount",
    "shift=0,sleep=off",
    "-rtc",
    "base=2000-01-01T00:00:00,clock=vm",
];
/// After this time without a line in the log, the CPU counts as quiet.
const QUIET: Duration = Duration::from_millis(500);
/// How long to sleep while the log is empty.
const POLL: Duration = Duration::from_millis(1);

/// What happens in a boot.
#[derive(Debug)]
pub enum Event {
    /// An instruction in the range is executed. This is the state before it.
    Instruction(Box<Cpu>),
    /// An exception or an interrupt in protected or long mode.
    Exception(Box<log::Exception>),
    /// An exception occurred while the CPU called the handler of a double fault.
    TripleFault,
    /// Nothing in the range has been executed for a while.
    Quiet,
    /// QEMU has ended.
    End,
}

impl From<Entry> for Event {
    fn from(entry: Entry) -> Event {
        match entry {
            Entry::Instruction(cpu) => Event::Instruction(cpu),
            Entry::Exception(exception) => Event::Exception(exception),
            Entry::TripleFault => Event::TripleFault,
        }
    }
}

/// What the log holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The state of the CPU before each instruction.
    State,
    /// Only the address of each instruction: [`Cpu::rip`] is linear then, and all
    /// else is 0. Much faster.
    Addresses,
}

/// Where a recording begins.
#[derive(Clone, Copy, Debug)]
pub enum Begin {
    /// At the boot sector's first instruction. So many times the BIOS, and what takes its
    /// place, jump to one.
    BootSector(u32),
    /// At an address of the loader. The error is [`ErrorKind::TimedOut`] if the loader does
    /// not come there soon.
    Loader(u64),
}

/// A boot in QEMU, and its log.
pub struct Recorder {
    /// The machine, whose monitor can be asked at any time.
    pub machine: Machine,
    log: File,
    buffer: Vec<u8>,
    parser: Parser,
    _scratch: Scratch,
}

impl Recorder {
    /// Boots with these arguments for QEMU, which include the boot device. From `begin`
    /// on, records the instructions in these ranges of linear addresses; without a range,
    /// all instructions.
    pub fn start(
        arguments: &[String],
        ranges: &[RangeInclusive<u64>],
        detail: Detail,
        begin: Begin,
    ) -> io::Result<Recorder> {
        let scratch = Scratch::new()?;
        let pipe = scratch.path().join("log");
        make_pipe(&pipe)?;
        let log = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(&pipe)?;
        let ranges: Vec<String> = ranges
            .iter()
            .map(|range| format!("{:#x}..{:#x}", range.start(), range.end()))
            .collect();
        let items = match detail {
            Detail::State => "cpu,exec,nochain,int,cpu_reset",
            Detail::Addresses => "exec,nochain",
        };
        let one_at_a_time = one_at_a_time()?;
        let mut all: Vec<String> = REPEATABLE.map(String::from).into();
        all.extend(arguments.iter().cloned());
        all.extend(["-D".into(), escaped(&pipe)]);
        if !ranges.is_empty() {
            all.extend(["-dfilter".into(), ranges.join(",")]);
        }
        let socket = scratch.path().join("gdb");
        all.extend(stub::arguments(&socket));
        let mut machine = Machine::start(&all)?;
        let mut stub = Stub::connect(&socket)?;
        match begin {
            Begin::BootSector(entries) => stub.run_to_boot_sector(&machine, entries)?,
            Begin::Loader(address) => {
                stub.run_to_boot_sector(&machine, 1)?;
                stub.run_to(&machine, address)?;
            }
        }
        // All before this ran at full speed.
        for command in [one_at_a_time, &format!("log {items}")] {
            let answer = machine.command(command)?;
            if !answer.is_empty() {
                return Err(io::Error::other(format!("{command}: {}", answer.trim())));
            }
        }
        stub.detach()?;
        Ok(Recorder {
            machine,
            log,
            buffer: Vec::new(),
            parser: Parser::new(detail == Detail::State),
            _scratch: scratch,
        })
    }

    /// The next event.
    pub fn event(&mut self) -> io::Result<Event> {
        let mut since = None;
        loop {
            if let Some(entry) = self.parser.next() {
                return Ok(entry.into());
            }
            self.buffer.resize(1 << 16, 0);
            let count = match self.log.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                result => result?,
            };
            if count > 0 {
                self.parser.add(&self.buffer[..count]);
                since = None;
                continue;
            }
            if since.is_none() && self.machine.has_ended() {
                since = Some(Instant::now() - QUIET);
                continue; // it may have written more before it ended
            }
            if since.get_or_insert_with(Instant::now).elapsed() >= QUIET {
                if let Some(entry) = self.parser.take_last() {
                    return Ok(entry.into());
                }
                return Ok(if self.machine.has_ended() {
                    Event::End
                } else {
                    Event::Quiet
                });
            }
            sleep(POLL);
        }
    }

    /// Reads the rest of the log in the background. QEMU could not be asked anything
    /// while it waits for somebody to read.
    pub fn ignore_rest(&self) -> io::Result<()> {
        let mut log = self.log.try_clone()?;
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                match log.read(&mut buffer) {
                    Ok(0) => break, // QEMU has ended
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(POLL),
                    Err(_) => break,
                }
            }
        });
        Ok(())
    }

    /// Whether the CPU waits in a HLT instruction.
    pub fn is_halted(&mut self) -> io::Result<bool> {
        Ok(self.machine.command("info registers")?.contains("HLT=1"))
    }
}

/// The command of the monitor that makes QEMU translate one instruction at a time. It
/// was renamed with the option, so the program is asked which one it has.
fn one_at_a_time() -> io::Result<&'static str> {
    let help = qemu::command().arg("-help").output()?.stdout;
    let help = String::from_utf8_lossy(&help);
    if help.contains("one-insn-per-tb") {
        Ok("one-insn-per-tb on")
    } else if help.contains("-singlestep") {
        Ok("singlestep on")
    } else {
        Err(io::Error::other(
            "this QEMU cannot execute one instruction at a time",
        ))
    }
}

/// QEMU's name and version, on one line.
pub fn emulator() -> io::Result<String> {
    let version = qemu::command().arg("--version").output()?.stdout;
    let version = String::from_utf8_lossy(&version);
    Ok(version.lines().next().unwrap_or_default().into())
}

/// Creates a named pipe. The program `mkfifo` is on every Unix.
fn make_pipe(path: &Path) -> io::Result<()> {
    match Command::new("mkfifo").arg(path).status()?.success() {
        true => Ok(()),
        false => Err(io::Error::other("mkfifo failed")),
    }
}
