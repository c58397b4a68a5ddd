//! Mistakes that a disassembly of the whole loader shows.

use crate::common::{Folder, kernel, top};
use siso_image::LOADER_ELF;
use siso_image::layout::*;
use std::fs;
use std::process::Command;

/// A common mistake in AT&T syntax is a missing `$`: `mov PORT, %al` loads from
/// memory instead of using the number. So every absolute address in an instruction
/// must be in memory that the loader uses.
#[test]
fn no_dollar_sign_is_missing() {
    let used = [
        IVT_INT10..IVT_INT10 + 4,
        BDA_KEY_HEAD..BDA_KEY_TAIL + 2,
        REGIONS_BASE..ELF_BASE + ELF_SECTORS_MAX * SECTOR_BYTES,
        STAGE1_BASE..VARIABLES_END,
        CHECKSUMS_BASE..CHECKSUMS_END,
        IDENTITY_PML4..LOW_MEMORY_END,
    ];
    let mut found = 0;
    for (line, address) in absolute_operands(&listing()) {
        found += 1;
        assert!(
            used.iter().any(|range| range.contains(&address)),
            "{address:#x} in: {line}"
        );
    }
    assert!(found > 100, "only {found} absolute operands");
}

#[test]
fn a_missing_dollar_sign_is_detected() {
    let line = "    7c01:\tmov    0x60,%al";
    let found: Vec<_> = absolute_operands(line).collect();
    assert_eq!(found, [(line, 0x60)]);
    let correct = "    7c01:\tmov    $0x60,%al\n    7c03:\tmov    0x10(%rdi),%eax\n  7c05:\tjmp    7c00 <stage1>";
    assert_eq!(absolute_operands(correct).count(), 0);
}

/// No instruction writes a word to an I/O port: a modern UART takes the first byte
/// and loses the second one.
#[test]
fn only_bytes_are_written_to_ports() {
    let listing = listing();
    let outputs: Vec<&str> = listing.lines().filter(|line| is_output(line)).collect();
    assert!(outputs.len() > 5, "only these outputs: {outputs:?}");
    for line in outputs {
        assert!(line.contains("%al,"), "{line}");
    }
}

fn is_output(line: &str) -> bool {
    let instruction = line.split_once(":\t").map_or("", |(_, rest)| rest.trim());
    let name = instruction.split(' ').next().unwrap_or_default();
    ["out", "outb", "outw", "outl"].contains(&name)
}

#[test]
fn outputs_are_detected() {
    assert!(is_output("    7c01:\tout    %ax,(%dx)"));
    assert!(is_output("    7c01:\tout    %al,$0xe9"));
    assert!(!is_output("        out     %ax, %dx"));
}

/// The disassembly of the loader.
fn listing() -> String {
    let folder = Folder::new();
    let loader = folder.0.join("loader.elf");
    fs::write(&loader, LOADER_ELF).expect("a file can be written");
    let output = Command::new(top().join("tools/disasm"))
        .args([&loader, &kernel("seed")])
        .output()
        .expect("tools/disasm starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("sources are UTF-8");
    text.split("=== the kernel ===")
        .next()
        .expect("there is a first part")
        .into()
}

/// The instructions that access memory at a fixed address, with the address.
fn absolute_operands(listing: &str) -> impl Iterator<Item = (&str, u64)> {
    listing.lines().filter_map(|line| {
        let (_, instruction) = line.split_once(":\t")?;
        if instruction.starts_with('.') {
            return None; // data
        }
        let operands = instruction.split_once(' ')?.1.trim();
        let address = operands.split(',').find_map(|operand| {
            // An operand with a segment prefix is not an absolute address.
            let operand = operand.trim_start_matches('*');
            u64::from_str_radix(operand.strip_prefix("0x")?, 16).ok()
        })?;
        Some((line, address))
    })
}
