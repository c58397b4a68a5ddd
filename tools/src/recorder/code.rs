//! Decodes instructions: their text, and the memory that they touch.

use super::cpu::{Cpu, SEGMENTS};
use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Formatter, GasFormatter, Instruction,
    InstructionInfoFactory, InstructionInfoOptions, OpAccess, Register, UsedMemory,
};

/// A range of linear addresses that an instruction reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Touched {
    pub address: u64,
    pub length: u32,
    pub written: bool,
}

/// How an instruction changes the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Flow {
    Next,
    Jump,
    Call,
    Return,
    /// INT with its number.
    Interrupt(u8),
    Halt,
}

/// A decoded instruction.
#[derive(Clone, Copy, Debug)]
pub struct Decoded(Instruction);

/// Decodes the instruction at the next address of this state. `None` if there is no
/// valid one.
pub fn decode(cpu: &Cpu, bytes: &[u8]) -> Option<Decoded> {
    decode_as(cpu.mode().bits(), cpu.rip, bytes)
}

/// Decodes an instruction of code of 16, 32 or 64 bits.
pub fn decode_as(bits: u32, address: u64, bytes: &[u8]) -> Option<Decoded> {
    let mut decoder = Decoder::with_ip(bits, bytes, address, DecoderOptions::NONE);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then_some(Decoded(instruction))
}

impl Decoded {
    /// The text in the syntax of GNU `as`.
    pub fn text(&self) -> String {
        let mut formatter = GasFormatter::new();
        let options = formatter.options_mut();
        options.set_uppercase_hex(false);
        options.set_hex_prefix("0x");
        options.set_hex_suffix("");
        options.set_small_hex_numbers_in_decimal(false);
        options.set_branch_leading_zeros(false);
        options.set_space_after_operand_separator(true);
        let mut text = String::new();
        formatter.format(&self.0, &mut text);
        text
    }

    /// The number of bytes.
    pub fn length(&self) -> usize {
        self.0.len()
    }

    /// How the instruction changes the flow.
    pub fn flow(&self) -> Flow {
        match self.0.flow_control() {
            FlowControl::Call | FlowControl::IndirectCall => Flow::Call,
            FlowControl::Return => Flow::Return,
            FlowControl::Interrupt if self.0.code() == Code::Int_imm8 => {
                Flow::Interrupt(self.0.immediate8())
            }
            FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::ConditionalBranch => Flow::Jump,
            _ if self.0.code() == Code::Hlt => Flow::Halt,
            _ => Flow::Next,
        }
    }

    /// Whether it goes, for good, where the stack, a register or memory says.
    pub fn goes_anywhere(&self) -> bool {
        let flow = self.0.flow_control();
        matches!(flow, FlowControl::Return | FlowControl::IndirectBranch)
    }

    /// Whether the instruction jumps to itself.
    pub fn is_endless(&self) -> bool {
        self.0.flow_control() == FlowControl::UnconditionalBranch
            && self.0.near_branch_target() == self.0.ip()
    }

    /// Whether a prefix repeats it.
    pub fn repeats(&self) -> bool {
        self.0.has_rep_prefix() || self.0.has_repne_prefix()
    }

    /// The memory that the instruction reads and writes. A repeated string
    /// instruction does one iteration at a time.
    pub fn touched(&self, cpu: &Cpu) -> Vec<Touched> {
        let repeats = self.repeats() && self.0.is_string_instruction();
        if repeats && count(cpu) == 0 {
            return Vec::new();
        }
        let mut once = self.0;
        once.set_has_rep_prefix(false);
        once.set_has_repne_prefix(false);
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info_options(&once, InstructionInfoOptions::NO_REGISTER_USAGE);
        let ranges = info.used_memory().iter().filter_map(|memory| {
            let written = match memory.access() {
                OpAccess::Write | OpAccess::ReadWrite => true,
                OpAccess::CondWrite | OpAccess::ReadCondWrite => true,
                OpAccess::Read | OpAccess::CondRead => false,
                _ => return None, // LEA, or no access
            };
            let length = size(memory, &once);
            let address = address(memory, cpu)?;
            (length > 0).then_some(Touched {
                address,
                length,
                written,
            })
        });
        ranges.collect()
    }
}

/// How many iterations a repeated string instruction still has: CX, ECX or RCX. An
/// address-size prefix would select another of them; no instruction of ours has one.
fn count(cpu: &Cpu) -> u64 {
    cpu.registers[1] & (u64::MAX >> (64 - cpu.mode().bits()))
}

/// The size in bytes; the decoder gives none for the pointers of LGDT and LIDT.
fn size(memory: &UsedMemory, instruction: &Instruction) -> u32 {
    match instruction.code() {
        Code::Lgdt_m1664 | Code::Lidt_m1664 => 10,
        Code::Lgdt_m1632 | Code::Lidt_m1632 | Code::Lgdt_m1632_16 | Code::Lidt_m1632_16 => 6,
        _ => memory.memory_size().size() as u32,
    }
}

/// The linear address, which has 32 bits outside of 64-bit code.
fn address(memory: &UsedMemory, cpu: &Cpu) -> Option<u64> {
    let address = memory.virtual_address(0, |register, _, _| value(register, cpu))?;
    Some(if cpu.mode().bits() != 64 {
        address & 0xffff_ffff
    } else {
        address
    })
}

/// The value of a register; a segment register's is its base.
fn value(register: Register, cpu: &Cpu) -> Option<u64> {
    if register.is_segment_register() {
        let index = SEGMENTS
            .iter()
            .position(|name| register == named(name))
            .expect("there are six of them");
        return Some(if cpu.mode().bits() == 64 && index < 4 {
            0
        } else {
            cpu.segments[index].base
        });
    }
    if !register.is_gpr() {
        return None;
    }
    let whole = cpu.registers[register.full_register().number()];
    Some(if register.is_gpr8() {
        let high = [Register::AH, Register::CH, Register::DH, Register::BH].contains(&register);
        (if high { whole >> 8 } else { whole }) & 0xff
    } else if register.is_gpr16() {
        whole & 0xffff
    } else if register.is_gpr32() {
        whole & 0xffff_ffff
    } else {
        whole
    })
}

fn named(segment: &str) -> Register {
    match segment {
        "es" => Register::ES,
        "cs" => Register::CS,
        "ss" => Register::SS,
        "ds" => Register::DS,
        "fs" => Register::FS,
        "gs" => Register::GS,
        _ => Register::None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::cpu::CS;
    use super::*;

    fn real() -> Cpu {
        let mut cpu = Cpu {
            rip: 0x7c00,
            ..Cpu::default()
        };
        cpu.registers = [
            0, 3, 0, 0x10, 0x7000, 0, 0x100, 0x200, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        cpu.segments[0].base = 0x20000; // ES
        cpu
    }

    fn long() -> Cpu {
        let mut cpu = real();
        cpu.cr0 = 0x8000_0011;
        cpu.efer = 0x500;
        cpu.segments[CS].rights = 0x20_9b00;
        cpu
    }

    #[test]
    fn text_and_flow() {
        let shows = |cpu: &Cpu, bytes: &[u8], text: &str, flow| {
            let decoded = decode(cpu, bytes).expect("it is valid");
            assert_eq!((decoded.text().as_str(), decoded.flow()), (text, flow));
        };
        shows(&real(), &[0x31, 0xc0], "xor %ax, %ax", Flow::Next);
        shows(&long(), &[0x31, 0xc0], "xor %eax, %eax", Flow::Next);
        shows(&real(), &[0xcd, 0x13], "int $0x13", Flow::Interrupt(0x13));
        shows(&long(), &[0xc3], "ret", Flow::Return);
        assert!(decode(&long(), &[0xeb, 0xfe]).is_some_and(|jump| jump.is_endless()));
        assert!(decode(&long(), &[0x06]).is_none(), "push %es");
    }

    #[test]
    fn touched_memory() {
        let touches = |cpu: &Cpu, bytes: &[u8], expected: &[(u64, u32, bool)]| {
            let touched = decode(cpu, bytes).expect("it is valid").touched(cpu);
            let touched: Vec<_> = touched
                .iter()
                .map(|range| (range.address, range.length, range.written))
                .collect();
            assert_eq!(touched, expected);
        };
        touches(&real(), &[0x50], &[(0x6ffe, 2, true)]); // push %ax
        touches(&long(), &[0x50], &[(0x6ff8, 8, true)]); // push %rax
        touches(&long(), &[0x58], &[(0x7000, 8, false)]); // pop %rax
        // rep movsw
        let both: &[_] = &[(0x20200, 2, true), (0x100, 2, false)];
        touches(&real(), &[0xf3, 0xa5], both);
        let mut done = real();
        done.registers[1] = 0;
        touches(&done, &[0xf3, 0xa5], &[]);
        touches(&real(), &[0xac], &[(0x100, 1, false)]); // lodsb
        touches(&long(), &[0xff, 0x03], &[(0x10, 4, true)]); // incl (%rbx)
        touches(&long(), &[0x8d, 0x03], &[]); // lea (%rbx), %eax
        touches(&real(), &[0x0f, 0x01, 0x17], &[(0x10, 6, false)]); // lgdt (%bx)
    }
}
