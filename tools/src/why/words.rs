//! Exceptions and their error codes in words.
//!
//! Intel SDM volume 3A, 6.13 "Error Code" and 6.15 "Exception and Interrupt
//! Reference".

use crate::recorder::log::Exception;

/// The vector of a page fault.
pub const PAGE_FAULT: u8 = 14;

const NAMES: [&str; 22] = [
    "divide error (#DE)",
    "debug exception (#DB)",
    "NMI",
    "breakpoint (#BP)",
    "overflow (#OF)",
    "bound range exceeded (#BR)",
    "invalid opcode (#UD)",
    "device not available (#NM)",
    "double fault (#DF)",
    "a reserved vector",
    "invalid TSS (#TS)",
    "segment not present (#NP)",
    "stack fault (#SS)",
    "general protection (#GP)",
    "page fault (#PF)",
    "a reserved vector",
    "x87 error (#MF)",
    "alignment check (#AC)",
    "machine check (#MC)",
    "SIMD error (#XM)",
    "virtualization (#VE)",
    "control protection (#CP)",
];

/// An exception on one line.
pub fn exception(exception: &Exception) -> String {
    let vector = exception.vector;
    let name = NAMES.get(usize::from(vector)).copied();
    let what = match name {
        _ if exception.hardware => "interrupt of a device".into(),
        _ if exception.software => format!("INT {vector:#x}"),
        Some(name) => name.to_string(),
        None => "interrupt".to_string(),
    };
    let detail = match vector {
        _ if exception.hardware || exception.software => String::new(),
        0 => ": divided by zero, or the quotient is too large".into(),
        6 => ": an invalid instruction, one that is switched off, or UD2".into(),
        8 => ": an exception while the CPU called the handler of the one before".into(),
        PAGE_FAULT => format!(
            ": error code {:#x}: {}",
            exception.error,
            page_fault(exception.error)
        ),
        10..=13 => format!(
            ": error code {:#x}: {}",
            exception.error,
            selector(exception.error)
        ),
        _ => String::new(),
    };
    format!("exception {vector}, {what}{detail}")
}

fn page_fault(code: u32) -> String {
    let access = match (code & 2 != 0, code & 16 != 0) {
        (_, true) => "execute",
        (true, _) => "write to",
        _ => "read from",
    };
    let page = match (code & 1 != 0, code & 8 != 0) {
        (_, true) => "an entry with reserved bits set",
        (true, _) => "a page that does not permit it",
        _ => "a page that is not present",
    };
    let ring = if code & 4 != 0 { "user" } else { "supervisor" };
    format!("tried to {access} {page}, as {ring}")
}

fn selector(code: u32) -> String {
    if code == 0 {
        return "no selector; a non-canonical address, a forbidden value or instruction".into();
    }
    let table = match code >> 1 & 3 {
        0 => "GDT",
        2 => "LDT",
        _ => "IDT",
    };
    let external = if code & 1 != 0 { ", from outside" } else { "" };
    format!("entry {} of the {table}{external}", code >> 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(vector: u8, error: u32, text: &str) {
        let shown = exception(&Exception {
            vector,
            error,
            ..Exception::default()
        });
        assert!(shown.contains(text), "{shown}");
    }

    #[test]
    fn error_codes_are_decoded() {
        shows(
            14,
            0x2,
            "tried to write to a page that is not present, as supervisor",
        );
        shows(14, 0x3, "tried to write to a page that does not permit it");
        shows(
            14,
            0x15,
            "tried to execute a page that does not permit it, as user",
        );
        shows(
            14,
            0x9,
            "tried to read from an entry with reserved bits set",
        );
        shows(13, 0, "non-canonical");
        shows(13, 0x72, "entry 14 of the IDT");
        shows(11, 0x21, "entry 4 of the GDT, from outside");
        shows(0, 0, "divide error (#DE): divided by zero");
        shows(200, 0, "exception 200, interrupt");
    }
}
