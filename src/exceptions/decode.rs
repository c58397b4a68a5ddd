//! Describes an exception in plain English.
//!
//! Names and error codes: Intel SDM volume 3A, 6.13 and 6.15.

use super::{DOUBLE_FAULT, Exception, PAGE_FAULT};
use core::fmt::{Display, Formatter, Result};

/// The smallest page size. An access to page 0 is most likely a null pointer.
const PAGE: u64 = 4096;

/// Page fault: the page is present, but does not permit the access.
const PRESENT: u64 = 1 << 0;
/// Page fault: a write.
const WRITE: u64 = 1 << 1;
/// Page fault: a reserved bit is set in the page tables.
const RESERVED_BIT: u64 = 1 << 3;
/// Page fault: an instruction fetch.
const FETCH: u64 = 1 << 4;

/// Selector error code: caused by an event external to the program.
const EXTERNAL: u64 = 1 << 0;
/// Selector error code: the descriptor is in the IDT.
const IN_IDT: u64 = 1 << 1;
/// Selector error code: the descriptor is in the LDT; if clear, in the GDT.
const IN_LDT: u64 = 1 << 2;

#[rustfmt::skip]
static NAMES: [&str; 22] = [
    "divide error (#DE)", "debug (#DB)", "NMI", "breakpoint (#BP)",
    "overflow (#OF)", "bound range exceeded (#BR)", "invalid opcode (#UD)",
    "device not available (#NM)", "double fault (#DF)", RESERVED,
    "invalid TSS (#TS)", "segment not present (#NP)", "stack fault (#SS)",
    "general protection (#GP)", "page fault (#PF)", RESERVED,
    "x87 error (#MF)", "alignment check (#AC)", "machine check (#MC)",
    "SIMD error (#XM)", "virtualization (#VE)", "control protection (#CP)",
];
/// Vectors that no CPU uses, or that only a hypervisor can raise.
const RESERVED: &str = "a reserved vector";

/// Names of the values on the stack, from [`Exception::cr2`] on.
#[rustfmt::skip]
static VALUES: [&str; size_of::<Exception>() / 8] = [
    "CR2   ", "RAX   ", "RBX   ", "RCX   ", "RDX   ", "RSI   ", "RDI   ", "RBP   ",
    "R8    ", "R9    ", "R10   ", "R11   ", "R12   ", "R13   ", "R14   ", "R15   ",
    "vector", "error ", "RIP   ", "CS    ", "RFLAGS", "RSP   ", "SS    ",
];

impl Display for Exception {
    // Writing short strings takes less code than formatting a long one.
    fn fmt(&self, f: &mut Formatter) -> Result {
        write!(f, "exception {}: ", self.vector)?;
        f.write_str(NAMES.get(self.vector as usize).unwrap_or(&RESERVED))?;
        f.write_str("\n")?;
        match self.vector {
            0 => f.write_str("divided by zero, or the quotient is too large")?,
            6 => f.write_str("an invalid or disabled instruction, or a trap (ud2)")?,
            DOUBLE_FAULT if self.stack_is_full() => write!(
                f,
                "the stack is full: it ran into the guard page at {:#x}",
                self.cr2 & !(PAGE - 1)
            )?,
            DOUBLE_FAULT => {
                f.write_str("an exception occurred, and its handler could not be called")?
            }
            10..=13 if self.error_code != 0 => self.selector(f)?,
            12 | 13 => f.write_str("forbidden (a non-canonical address?)")?,
            PAGE_FAULT => self.page_fault(f)?,
            _ => (),
        }
        f.write_str("\n")?;
        for (index, (name, value)) in VALUES.iter().zip(self.values()).enumerate() {
            f.write_str(if index % 3 == 0 { "\n" } else { "  " })?;
            f.write_str(name)?;
            write!(f, " {value:#018x}")?;
        }
        Ok(())
    }
}

impl Exception {
    /// All fields, as an array of numbers.
    fn values(&self) -> &[u64; VALUES.len()] {
        // SAFETY: the structure consists of exactly this many `u64` fields.
        unsafe { &*(&raw const *self).cast() }
    }

    /// Whether the faulting address is next to the stack pointer: then the CPU
    /// could not push the frame of another exception.
    fn stack_is_full(&self) -> bool {
        self.cr2.abs_diff(self.rsp) < PAGE
    }

    /// Describes a page fault by its error code and CR2.
    fn page_fault(&self, f: &mut Formatter) -> Result {
        let code = self.error_code;
        let (tried, forbidden) = if code & WRITE != 0 {
            ("write to", "the page is not writable")
        // A CPU without no-execute pages does not report a fetch as one.
        } else if code & FETCH != 0 || self.cr2 == self.rip {
            ("execute", "the page is not executable")
        } else {
            ("read from", "the page is not readable")
        };
        f.write_str("tried to ")?;
        f.write_str(tried)?;
        write!(f, " {:#x}: ", self.cr2)?;
        f.write_str(if code & RESERVED_BIT != 0 {
            "the page tables have a reserved bit set"
        } else if code & PRESENT != 0 {
            forbidden
        } else if self.cr2 < PAGE {
            "nothing is mapped there (a null pointer?)"
        } else {
            "nothing is mapped there"
        })
    }

    /// Describes an error code that is a selector.
    fn selector(&self, f: &mut Formatter) -> Result {
        let code = self.error_code;
        write!(f, "entry {} of the ", code >> 3)?;
        f.write_str(if code & IN_IDT != 0 {
            "IDT"
        } else if code & IN_LDT != 0 {
            "LDT"
        } else {
            "GDT"
        })?;
        f.write_str(if code & EXTERNAL != 0 {
            ", caused by an external event"
        } else {
            ""
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    /// Text of up to 1,024 bytes.
    struct Text {
        bytes: [u8; 1024],
        length: usize,
    }

    impl Write for Text {
        fn write_str(&mut self, text: &str) -> Result {
            self.bytes[self.length..][..text.len()].copy_from_slice(text.as_bytes());
            self.length += text.len();
            Ok(())
        }
    }

    /// Checks the first two lines for this vector, error code and CR2.
    fn shows(vector: u64, error_code: u64, cr2: u64, lines: [&str; 2]) {
        let exception = Exception {
            cr2,
            registers: [0x1234; 15],
            vector,
            error_code,
            rip: 0x20_1000,
            cs: 8,
            rflags: 2,
            rsp: 0x100_0020_1000,
            ss: 0,
        };
        let mut text = Text {
            bytes: [0; 1024],
            length: 0,
        };
        let _ = write!(text, "{exception}"); // it fits
        let text = core::str::from_utf8(&text.bytes[..text.length]);
        let text = text.expect("only whole strings were written");
        assert!(text.lines().take(2).eq(lines), "{text}");
        assert!(text.lines().all(|line| line.len() < 80), "{text}");
        assert_eq!(text.lines().count(), 11, "{text}");
        assert!(text.contains("RIP    0x0000000000201000"), "{text}");
        assert!(text.ends_with("RSP    0x0000010000201000  SS     0x0000000000000000"));
    }

    #[test_case]
    fn page_faults_say_what_was_tried() {
        let shows = |error_code, cr2, words| {
            shows(
                14,
                error_code,
                cr2,
                ["exception 14: page fault (#PF)", words],
            );
        };
        shows(
            0x3,
            0x20_1008,
            "tried to write to 0x201008: the page is not writable",
        );
        shows(
            0x11,
            0x30_0000,
            "tried to execute 0x300000: the page is not executable",
        );
        shows(
            0x5,
            0x30_0000,
            "tried to read from 0x300000: the page is not readable",
        );
        shows(
            0x0,
            0x10,
            "tried to read from 0x10: nothing is mapped there (a null pointer?)",
        );
        shows(
            0x0,
            0x20_1000,
            "tried to execute 0x201000: nothing is mapped there",
        );
        shows(
            0xd,
            0xffff_8000_0000_0000,
            "tried to read from 0xffff800000000000: the page tables have a reserved bit set",
        );
    }

    #[test_case]
    fn double_faults_recognise_a_full_stack() {
        const TITLE: &str = "exception 8: double fault (#DF)";
        let full = "the stack is full: it ran into the guard page at 0x10000200000";
        shows(8, 0, 0x100_0020_0ff8, [TITLE, full]);
        let other = "an exception occurred, and its handler could not be called";
        shows(8, 0, 0x10, [TITLE, other]);
    }

    #[test_case]
    fn selectors_are_decoded() {
        const GP: &str = "exception 13: general protection (#GP)";
        shows(13, 0, 0, [GP, "forbidden (a non-canonical address?)"]);
        shows(13, 0x10a, 0, [GP, "entry 33 of the IDT"]);
        shows(13, 0x20, 0, [GP, "entry 4 of the GDT"]);
        let not_present = "exception 11: segment not present (#NP)";
        let words = "entry 3 of the LDT, caused by an external event";
        shows(11, 0x1d, 0, [not_present, words]);
    }

    #[test_case]
    fn every_vector_has_a_name() {
        shows(
            0,
            0,
            0,
            [
                "exception 0: divide error (#DE)",
                "divided by zero, or the quotient is too large",
            ],
        );
        shows(21, 0, 0, ["exception 21: control protection (#CP)", ""]);
        for vector in [9, 15, 22, 31, 32] {
            let name = NAMES.get(vector as usize).unwrap_or(&RESERVED);
            assert_eq!(*name, RESERVED, "{vector}");
        }
    }
}
