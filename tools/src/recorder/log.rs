//! Parses QEMU's log: the items cpu, exec, int and cpu_reset.
//!
//! A line "Trace" announces an instruction, and the state of the CPU follows. If
//! the instruction was not executed after all, a line after the state says so, and
//! the instruction is announced again later.

use super::cpu::{Cpu, Segment, Table};

/// An entry of the log.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Entry {
    Instruction(Box<Cpu>),
    Exception(Box<Exception>),
    TripleFault,
}

/// An exception or an interrupt.
#[derive(Clone, Debug, Default)]
pub struct Exception {
    /// Its vector.
    pub vector: u8,
    /// The error code, or 0.
    pub error: u32,
    /// Whether an INT instruction caused it.
    pub software: bool,
    /// Whether a device caused it.
    pub hardware: bool,
    /// The state when it occurred.
    pub cpu: Cpu,
}

/// What the state that is being read belongs to.
enum Owner {
    Nothing,
    Instruction,
    Exception(Box<Exception>),
    TripleFault,
}

/// Reads the log piece by piece.
pub struct Parser {
    bytes: Vec<u8>,
    at: usize,
    /// Whether a state follows each instruction.
    states: bool,
    owner: Owner,
    cpu: Box<Cpu>,
    /// The entry that a later line may still cancel.
    complete: bool,
    /// The vector of the device's interrupt that was announced last.
    hardware: Option<u8>,
}

impl Parser {
    /// Starts at the beginning of a log.
    pub fn new(states: bool) -> Self {
        Parser {
            bytes: Vec::new(),
            at: 0,
            states,
            owner: Owner::Nothing,
            cpu: Box::default(),
            complete: false,
            hardware: None,
        }
    }

    /// Adds bytes of the log.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The entry that has been read completely, though a line that follows might
    /// still cancel it. To be called when nothing follows.
    pub fn take_last(&mut self) -> Option<Entry> {
        if self.complete { self.flush() } else { None }
    }

    fn flush(&mut self) -> Option<Entry> {
        self.complete = false;
        match std::mem::replace(&mut self.owner, Owner::Nothing) {
            Owner::Nothing => None,
            Owner::Instruction => Some(Entry::Instruction(self.cpu.clone())),
            Owner::TripleFault => Some(Entry::TripleFault),
            Owner::Exception(mut exception) => {
                exception.cpu = (*self.cpu).clone();
                Some(Entry::Exception(exception))
            }
        }
    }

    /// Processes a line; returns the entry that it completes.
    fn line(&mut self, line: &[u8]) -> Option<Entry> {
        match line {
            [b'T', b'r', b'a', b'c', b'e', ..] => {
                let entry = self.flush();
                self.owner = Owner::Instruction;
                self.hardware = None;
                if !self.states {
                    self.cpu.rip = traced(line).unwrap_or(0);
                    self.complete = true;
                }
                entry
            }
            // The instruction was not executed: it is announced again.
            [b'S', b't', b'o', b'p', ..] | [b'c', b'p', b'u', b'_', ..] => {
                if matches!(self.owner, Owner::Instruction) {
                    self.owner = Owner::Nothing;
                    self.complete = false;
                }
                None
            }
            [b'T', b'r', b'i', b'p', ..] => {
                let entry = self.flush();
                self.owner = Owner::TripleFault;
                self.complete = true;
                entry
            }
            [b'S', b'e', b'r', b'v', ..] => {
                let equals = line.iter().position(|&byte| byte == b'x').unwrap_or(0);
                self.hardware = Some(hex(&line[equals + 1..]) as u8);
                None
            }
            [b'S', b'M', b'M', ..] | [b'C', b'P', b'U', b' ', ..] => {
                let entry = self.flush();
                self.owner = Owner::Nothing;
                entry
            }
            [b' ', ..] if contains(line, b": v=") => {
                let entry = self.flush();
                let mut exception = Box::new(exception(line));
                exception.hardware = self.hardware.take() == Some(exception.vector);
                self.owner = Owner::Exception(exception);
                entry
            }
            _ => {
                self.state(line);
                None
            }
        }
    }

    /// A line of a state.
    fn state(&mut self, line: &[u8]) {
        let cpu = &mut self.cpu;
        let Some(&first) = line.first() else { return };
        match (first, line.get(1), line.get(2)) {
            (b'R' | b'E', Some(b'F'), _) => {
                if line.starts_with(b"EFER") {
                    cpu.efer = hex(&line[5..]);
                    self.complete = true;
                }
            }
            (b'R' | b'E', Some(b'I'), Some(b'P')) => {
                for (name, value) in fields(line) {
                    match name {
                        b"RIP" | b"EIP" => cpu.rip = value,
                        b"RFL" | b"EFL" => cpu.rflags = value,
                        b"CPL" => cpu.cpl = value as u8,
                        b"A20" => cpu.a20 = value != 0,
                        _ => {}
                    }
                }
            }
            (b'R' | b'E', _, _) if line.get(3) == Some(&b'=') || line.get(2) == Some(&b' ') => {
                if line.starts_with(b"ES =") {
                    segment(cpu, 0, line);
                    return;
                }
                for (name, value) in fields(line) {
                    if let Some(index) = register(name) {
                        cpu.registers[index] = value;
                        if name[0] == b'E' {
                            // A state outside of 64-bit code has none of these.
                            cpu.registers[8..].fill(0);
                        }
                    }
                }
            }
            (b'C', Some(b'S'), _) => segment(cpu, 1, line),
            (b'S', Some(b'S'), _) => segment(cpu, 2, line),
            (b'D', Some(b'S'), _) => segment(cpu, 3, line),
            (b'F', Some(b'S'), _) => segment(cpu, 4, line),
            (b'G', Some(b'S'), _) => segment(cpu, 5, line),
            (b'L', Some(b'D'), _) => segment(cpu, 6, line),
            (b'T', Some(b'R'), _) => segment(cpu, 7, line),
            (b'G', Some(b'D'), _) => cpu.gdtr = table(line),
            (b'I', Some(b'D'), _) => cpu.idtr = table(line),
            (b'C', Some(b'R'), _) => {
                for (name, value) in fields(line) {
                    match name {
                        b"CR0" => cpu.cr0 = value,
                        b"CR2" => cpu.cr2 = value,
                        b"CR3" => cpu.cr3 = value,
                        b"CR4" => cpu.cr4 = value,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

impl Iterator for Parser {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        while let Some(length) = self.bytes[self.at..].iter().position(|&byte| byte == b'\n') {
            let bytes = std::mem::take(&mut self.bytes);
            let entry = self.line(&bytes[self.at..self.at + length]);
            self.bytes = bytes;
            self.at += length + 1;
            if entry.is_some() {
                return entry;
            }
        }
        None
    }
}

/// The hexadecimal number at the start.
fn hex(text: &[u8]) -> u64 {
    let digit = |&byte: &u8| (byte as char).to_digit(16);
    text.iter()
        .map_while(digit)
        .fold(0, |number, digit| number << 4 | u64::from(digit))
}

/// The fields NAME=NUMBER of a line. A name has no trailing blanks.
fn fields(line: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let equals = rest.iter().position(|&byte| byte == b'=')?;
        let name = rest[..equals].trim_ascii_end();
        let start = name.iter().rposition(|&byte| byte == b' ');
        let name = &name[start.map_or(0, |at| at + 1)..];
        rest = &rest[equals + 1..];
        Some((name, hex(rest)))
    })
}

fn register(name: &[u8]) -> Option<usize> {
    match name {
        [b'R', tens @ b'1', ones @ b'0'..=b'5'] => {
            Some(usize::from(tens - b'0') * 10 + usize::from(ones - b'0'))
        }
        [b'R', digit @ b'8'..=b'9'] => Some(usize::from(digit - b'0')),
        [b'R' | b'E', b'A', b'X'] => Some(0),
        [b'R' | b'E', b'C', b'X'] => Some(1),
        [b'R' | b'E', b'D', b'X'] => Some(2),
        [b'R' | b'E', b'B', b'X'] => Some(3),
        [b'R' | b'E', b'S', b'P'] => Some(4),
        [b'R' | b'E', b'B', b'P'] => Some(5),
        [b'R' | b'E', b'S', b'I'] => Some(6),
        [b'R' | b'E', b'D', b'I'] => Some(7),
        _ => None,
    }
}

/// A line such as "CS =0008 00000000 ffffffff 00cf9b00 DPL=0 CS32 [-RA]".
fn segment(cpu: &mut Cpu, index: usize, line: &[u8]) {
    let mut words = numbers(line);
    let mut next = || words.next().unwrap_or(0);
    cpu.segments[index] = Segment {
        selector: next() as u16,
        base: next(),
        limit: next() as u32,
        rights: next() as u32,
    };
}

/// A line such as "GDT=     000f6180 00000037".
fn table(line: &[u8]) -> Table {
    let mut words = numbers(line);
    let mut next = || words.next().unwrap_or(0);
    Table {
        base: next(),
        limit: next() as u16,
    }
}

/// The numbers after the equals sign.
fn numbers(line: &[u8]) -> impl Iterator<Item = u64> {
    let equals = line.iter().position(|&byte| byte == b'=').unwrap_or(0);
    line[equals + 1..]
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
        .map(hex)
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

/// The address in a line such as
/// "Trace 0: 0x7f08a4455200 [0000000000000000/0000000000007c00/00000040/ff020201]".
fn traced(line: &[u8]) -> Option<u64> {
    let bracket = line.iter().position(|&byte| byte == b'[')?;
    let slash = line[bracket..].iter().position(|&byte| byte == b'/')?;
    Some(hex(&line[bracket + slash + 1..]))
}

/// A line such as "     0: v=0e e=0002 i=0 cpl=0 IP=0008:0000000000201249 pc=...".
fn exception(line: &[u8]) -> Exception {
    let mut exception = Exception::default();
    for (name, value) in fields(line) {
        match name {
            b"v" => exception.vector = value as u8,
            b"e" => exception.error = value as u32,
            b"i" => exception.software = value != 0,
            _ => {}
        }
    }
    exception
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "\
RAX=0000000000000001 RBX=0000010000000000 RCX=0000000000002710 RDX=00000000000003f8
RSI=00000000002000fc RDI=000000000000000a RBP=000000000000000f RSP=0000010000201f58
R8 =0000000000000008 R9 =0000000000000009 R10=0000000000000200 R11=00208e0000081240
R12=0020000000000000 R13=0000000000000002 R14=0000000000000000 R15=0000000000000015
RIP=00000000002015e6 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0
ES =0000 0000000000000000 00000000 00000000
CS =0008 0000000000000000 00000000 00209b00 DPL=0 CS64 [-RA]
TR =0018 0000000000207238 00000067 00008900 DPL=0 TSS64-avl
GDT=     0000000000207010 00000027
CR0=80010011 CR2=0000000000000004 CR3=0000000000409000 CR4=00000020
EFER=0000000000000d00
";

    fn parse(text: &str) -> Vec<Entry> {
        let mut parser = Parser::new(true);
        let mut entries = Vec::new();
        for piece in text.as_bytes().chunks(7) {
            parser.add(piece);
            entries.extend(parser.by_ref());
        }
        entries.extend(parser.take_last());
        entries
    }

    #[test]
    fn a_state() {
        let text = format!("Trace 0: 0x7f [0/2015e6/0/0] f\n{STATE}");
        let entries = parse(&text);
        let [Entry::Instruction(cpu)] = &entries[..] else {
            panic!("{entries:?}")
        };
        assert_eq!(cpu.registers[0], 1);
        assert_eq!(cpu.registers[8..10], [8, 9]);
        assert_eq!(cpu.registers[15], 0x15);
        assert_eq!((cpu.rip, cpu.rflags), (0x2015e6, 0x46));
        assert_eq!(cpu.segments[1].rights, 0x209b00);
        assert_eq!(cpu.segments[7].base, 0x207238);
        assert_eq!(cpu.gdtr.limit, 0x27);
        assert_eq!((cpu.cr2, cpu.cr3), (4, 0x409000));
        assert_eq!(cpu.efer, 0xd00);
        assert!(cpu.a20);
    }

    #[test]
    fn instructions_that_were_not_executed_are_left_out() {
        for line in [
            "Stopped execution of TB chain before 0x7f08 [0000000000007d01] ",
            "cpu_io_recompile: rewound execution of TB to 0000000000201e6d",
        ] {
            let trace = format!("Trace 0: 0x7f [0/2015e6/0/0] f\n{STATE}");
            let entries = parse(&format!("{trace}{line}\n{trace}{trace}"));
            assert_eq!(entries.len(), 2, "{line}");
        }
    }

    #[test]
    fn exceptions() {
        let text = format!(
            "Trace 0: 0x7f [0/2015e6/0/0] f\n{STATE}\
             check_exception old: 0xffffffff new 0xe\n     \
             0: v=0e e=0002 i=0 cpl=0 IP=0008:00000000002015e6 pc=00000000002015e6\n{STATE}\
             Triple fault\nCPU Reset (CPU 0)\n{STATE}"
        );
        let entries = parse(&text);
        let [
            Entry::Instruction(_),
            Entry::Exception(exception),
            Entry::TripleFault,
        ] = &entries[..]
        else {
            panic!("{entries:?}")
        };
        assert_eq!((exception.vector, exception.error), (0xe, 2));
        assert_eq!(exception.cpu.cr2, 4);
    }
}
