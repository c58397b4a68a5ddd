//! A client of QEMU's GDB stub: steps, breakpoints, registers and physical memory.
//!
//! The protocol: "Debugging with GDB", appendix "GDB Remote Serial Protocol".

use crate::layout::{DIE_WAIT, STAGE1_BASE};
use crate::qemu::{Machine, escaped};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long QEMU may take to offer the stub.
const START: Duration = Duration::from_secs(30);
/// How long the BIOS may take to the boot sector, and how much CPU time QEMU may need for
/// that: it never gets there if it cannot boot from the disk.
const BIOS: Duration = Duration::from_secs(60);
const BIOS_CPU: Duration = Duration::from_secs(5);
/// The same for the loader.
const LOADER: Duration = Duration::from_secs(10);
const LOADER_CPU: Duration = Duration::from_secs(2);
/// The interval of looks at these times.
const LOOK: Duration = Duration::from_millis(100);
/// The most bytes to read in one packet.
const PACKET: usize = 1024;

/// The arguments with which QEMU offers the stub at this path, and waits for it.
pub fn arguments(socket: &Path) -> [String; 3] {
    let socket = format!("unix:{},server=on,wait=off", escaped(socket));
    ["-S".into(), "-gdb".into(), socket]
}

/// The registers, as far as the stub sends them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Registers {
    /// In the order of [`super::cpu::REGISTERS`].
    pub general: [u64; 16],
    pub rip: u64,
    pub rflags: u64,
    /// In the order of [`super::cpu::SEGMENTS`]; six of them.
    pub selectors: [u16; 6],
    pub cr0: u64,
    pub cr2: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
}

/// A connection to the stub. The machine is stopped, except during a call.
pub struct Stub {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Stub {
    /// Connects as soon as QEMU listens at this path.
    pub fn connect(path: &Path) -> io::Result<Stub> {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if start.elapsed() > START => return Err(error),
                Err(_) => sleep(Duration::from_millis(5)),
            }
        };
        let mut stub = Stub {
            stream,
            received: Vec::new(),
        };
        stub.ask("qSupported")?;
        stub.ask("Qqemu.PhyMemMode:1")?;
        Ok(stub)
    }

    /// Continues until the CPU is at the boot sector's first instruction.
    pub fn run_to_boot_sector(&mut self, machine: &Machine, entries: u32) -> io::Result<()> {
        self.set_breakpoint(STAGE1_BASE)?;
        for entry in 0..entries {
            if entry > 0 {
                self.step()?; // off the breakpoint
            }
            if !self.run_for(machine, BIOS, BIOS_CPU)? {
                let message = "the BIOS does not start the boot sector";
                return Err(io::Error::other(message));
            }
        }
        self.remove_breakpoint(STAGE1_BASE)
    }

    /// Continues from the boot sector to an address of the loader. The error is
    /// [`io::ErrorKind::TimedOut`] if the loader does not come there soon.
    pub fn run_to(&mut self, machine: &Machine, address: u64) -> io::Result<()> {
        let breakpoints = [address, DIE_WAIT]; // after an error, it waits at the latter
        for breakpoint in breakpoints {
            self.set_breakpoint(breakpoint)?;
        }
        let stopped = self.run_for(machine, LOADER, LOADER_CPU)?;
        if !stopped || self.registers()?.rip != address {
            let message = format!("the loader does not come to {address:#x}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        for breakpoint in breakpoints {
            self.remove_breakpoint(breakpoint)?;
        }
        Ok(())
    }

    /// Continues until the machine stops; false if that takes longer, or more of QEMU's
    /// time of the CPU.
    fn run_for(&mut self, machine: &Machine, time: Duration, cpu: Duration) -> io::Result<bool> {
        let start = Instant::now();
        let cpu_time = || machine.cpu_time().unwrap_or_default();
        let before = cpu_time();
        self.run()?;
        while !self.has_stopped(LOOK)? {
            if start.elapsed() > time || cpu_time().saturating_sub(before) > cpu {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets the machine run, without the stub.
    pub fn detach(mut self) -> io::Result<()> {
        self.ask("D").map(|_| ())
    }

    /// Executes one instruction, or one iteration of a repeated one.
    pub fn step(&mut self) -> io::Result<()> {
        self.resume("vCont;s:1")
    }

    /// Continues to the next breakpoint.
    pub fn go_on(&mut self) -> io::Result<()> {
        self.resume("c")
    }

    /// Sets a breakpoint at a linear address.
    pub fn set_breakpoint(&mut self, address: u64) -> io::Result<()> {
        self.ask(&format!("Z1,{address:x},1")).map(|_| ())
    }

    /// Removes a breakpoint.
    pub fn remove_breakpoint(&mut self, address: u64) -> io::Result<()> {
        self.ask(&format!("z1,{address:x},1")).map(|_| ())
    }

    /// Sets RAX, which is the stub's register 0.
    pub fn set_rax(&mut self, value: u64) -> io::Result<()> {
        // QEMU takes single registers only from a client that has read their description.
        self.ask("qXfer:features:read:target.xml:0,100")?;
        let answer = self.ask(&format!("P0={:016x}", value.swap_bytes()))?;
        match answer.as_str() {
            "OK" => Ok(()),
            _ => Err(io::Error::other(format!("RAX cannot be set: {answer}"))),
        }
    }

    /// Reads physical memory.
    pub fn memory(&mut self, address: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut memory = Vec::with_capacity(length);
        while memory.len() < length {
            let at = address + memory.len() as u64;
            let count = (length - memory.len()).min(PACKET);
            let answer = self.ask(&format!("m{at:x},{count:x}"))?;
            memory.extend(
                bytes(&answer)
                    .filter(|bytes| bytes.len() == count)
                    .ok_or_else(|| {
                        io::Error::other(format!("memory at {at:#x} cannot be read: {answer}"))
                    })?,
            );
        }
        Ok(memory)
    }

    /// The registers.
    pub fn registers(&mut self) -> io::Result<Registers> {
        let answer = self.ask("g")?;
        let bytes = bytes(&answer).unwrap_or_default();
        // The layout of a 64-bit target: RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP,
        // R8 to R15, RIP: 8 bytes each; EFLAGS, CS, SS, DS, ES, FS, GS: 4 each;
        // the bases of FS, GS, KERNEL_GS, then CR0, CR2, CR3, CR4, CR8, EFER: 8.
        let number = |at: usize, length: usize| {
            let field = bytes.get(at..at + length)?;
            Some(
                field
                    .iter()
                    .rev()
                    .fold(0, |number, &byte| number << 8 | u64::from(byte)),
            )
        };
        let all = || -> Option<Registers> {
            let mut registers = Registers {
                rip: number(16 * 8, 8)?,
                rflags: number(17 * 8, 4)?,
                ..Registers::default()
            };
            for (place, index) in [0, 3, 1, 2, 6, 7, 5, 4].into_iter().enumerate() {
                registers.general[index] = number(place * 8, 8)?;
            }
            for (index, register) in registers.general.iter_mut().enumerate().skip(8) {
                *register = number(index * 8, 8)?;
            }
            for (place, index) in [1, 2, 3, 0, 4, 5].into_iter().enumerate() {
                registers.selectors[index] = number(17 * 8 + 4 + place * 4, 4)? as u16;
            }
            let control = 17 * 8 + 7 * 4 + 3 * 8;
            registers.cr0 = number(control, 8)?;
            registers.cr2 = number(control + 8, 8)?;
            registers.cr3 = number(control + 16, 8)?;
            registers.cr4 = number(control + 24, 8)?;
            registers.efer = number(control + 40, 8)?;
            Some(registers)
        };
        all().ok_or_else(|| io::Error::other(format!("the registers cannot be read: {answer}")))
    }

    /// Lets the machine run, with the stub: [`Stub::has_stopped`] says when a breakpoint
    /// stops it.
    pub fn run(&mut self) -> io::Result<()> {
        self.send("c")
    }

    /// Waits this long at most for a machine that runs to stop.
    pub fn has_stopped(&mut self, limit: Duration) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(limit))?;
        let answer = self.answer();
        self.stream.set_read_timeout(None)?;
        match answer {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            answer => stopped(&answer?).map(|()| true),
        }
    }

    fn resume(&mut self, command: &str) -> io::Result<()> {
        let answer = self.ask(command)?;
        stopped(&answer)
    }

    /// Sends a packet and returns the answer.
    fn ask(&mut self, packet: &str) -> io::Result<String> {
        self.send(packet)?;
        self.answer()
    }

    fn send(&mut self, packet: &str) -> io::Result<()> {
        let sum = packet.bytes().fold(0u8, |sum, byte| sum.wrapping_add(byte));
        self.stream
            .write_all(format!("${packet}#{sum:02x}").as_bytes())
    }

    fn answer(&mut self) -> io::Result<String> {
        loop {
            let start = self.received.iter().position(|&byte| byte == b'$');
            let end = self.received.iter().position(|&byte| byte == b'#');
            if let (Some(start), Some(end)) = (start, end)
                && self.received.len() >= end + 3
            {
                let answer = String::from_utf8_lossy(&self.received[start + 1..end]).into_owned();
                self.received.drain(..end + 3);
                self.stream.write_all(b"+")?;
                return Ok(answer);
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.received.extend(&more[..count]),
            }
        }
    }
}

/// What a machine says when it stops.
fn stopped(answer: &str) -> io::Result<()> {
    match answer.as_bytes().first() {
        Some(b'T' | b'S') => Ok(()),
        _ => Err(io::Error::other(format!("the machine ended: {answer}"))),
    }
}

/// The bytes of a hexadecimal text.
fn bytes(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
