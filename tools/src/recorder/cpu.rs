//! The state of the CPU, as QEMU prints it.

use std::fmt;

/// The names of the general registers, in the order of their encoding.
pub const REGISTERS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
/// The names of the segment registers, in the order of their encoding; then the
/// two that hold system segments.
pub const SEGMENTS: [&str; 8] = ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"];
/// The index of RSP.
pub const RSP: usize = 4;
/// The index of RBP.
pub const RBP: usize = 5;
/// The index of CS.
pub const CS: usize = 1;
/// The index of SS.
pub const SS: usize = 2;

pub use crate::qemu::{EFER_LMA, RFLAGS_IF};

/// CR0: protection enable.
pub const CR0_PE: u64 = 1;
/// CR0: paging.
pub const CR0_PG: u64 = 1 << 31;
/// EFER: no-execute is enabled.
pub const EFER_NXE: u64 = 1 << 11;
/// RFLAGS: virtual 8086 mode.
const RFLAGS_VM: u64 = 1 << 17;
/// Descriptor: the default operand size is 32 bits.
const DESC_D: u32 = 1 << 22;
/// Descriptor: 64-bit code.
const DESC_L: u32 = 1 << 21;

/// A segment register with the descriptor that the CPU keeps for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Segment {
    pub selector: u16,
    pub base: u64,
    pub limit: u32,
    /// The rights: the upper dword of the descriptor.
    pub rights: u32,
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Table {
    pub base: u64,
    pub limit: u16,
}

/// The state of the CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Cpu {
    /// In the order of [`REGISTERS`].
    pub registers: [u64; 16],
    pub rip: u64,
    pub rflags: u64,
    pub cr0: u64,
    pub cr2: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
    /// In the order of [`SEGMENTS`].
    pub segments: [Segment; 8],
    pub gdtr: Table,
    pub idtr: Table,
    /// Whether address line 20 is open.
    pub a20: bool,
    /// The privilege level.
    pub cpl: u8,
}

/// What the CPU takes the bytes of an instruction for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Mode {
    Real,
    Virtual8086,
    Protected16,
    Protected32,
    Compatibility16,
    Compatibility32,
    Long64,
}

impl Mode {
    /// The width of instructions in bits.
    pub fn bits(self) -> u32 {
        match self {
            Mode::Real | Mode::Virtual8086 | Mode::Protected16 | Mode::Compatibility16 => 16,
            Mode::Protected32 | Mode::Compatibility32 => 32,
            Mode::Long64 => 64,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Mode::Real => "real",
            Mode::Virtual8086 => "vm86",
            Mode::Protected16 => "prot16",
            Mode::Protected32 => "prot32",
            Mode::Compatibility16 => "compat16",
            Mode::Compatibility32 => "compat32",
            Mode::Long64 => "long64",
        })
    }
}

impl Cpu {
    /// The mode in which the CPU executes.
    pub fn mode(&self) -> Mode {
        let rights = self.segments[CS].rights;
        let wide = rights & DESC_D != 0;
        if self.cr0 & CR0_PE == 0 {
            Mode::Real
        } else if self.efer & EFER_LMA != 0 {
            match (rights & DESC_L != 0, wide) {
                (true, _) => Mode::Long64,
                (false, true) => Mode::Compatibility32,
                (false, false) => Mode::Compatibility16,
            }
        } else if self.rflags & RFLAGS_VM != 0 {
            Mode::Virtual8086
        } else if wide {
            Mode::Protected32
        } else {
            Mode::Protected16
        }
    }

    /// The linear address of the next instruction.
    pub fn ip(&self) -> u64 {
        self.linear(CS, self.rip)
    }

    /// The linear address of an offset in a segment, by its index.
    pub fn linear(&self, segment: usize, offset: u64) -> u64 {
        match self.mode() {
            Mode::Long64 if segment < 4 => offset,
            Mode::Long64 => self.segments[segment].base.wrapping_add(offset),
            _ => self.segments[segment].base.wrapping_add(offset) & 0xffff_ffff,
        }
    }

    /// The linear address of the top of the stack.
    pub fn stack(&self) -> u64 {
        let sp = self.registers[RSP];
        let wide = self.segments[SS].rights & DESC_D != 0;
        match self.mode() {
            Mode::Long64 => sp,
            _ if wide => self.linear(SS, sp & 0xffff_ffff),
            _ => self.linear(SS, sp & 0xffff),
        }
    }
}
