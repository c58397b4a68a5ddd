//! `siso-image why`, and the runners: what killed a guest.

use crate::common::{Folder, field, image, kernel, path, siso_image};
use siso_image::recorder::symbols::Symbols;
use siso_image::{LOADER_ELF, SECTOR, checksum, layout};
use std::fs;
use std::process::Command;

/// What `siso-image why` says about a death of the test kernel.
fn why(death: &str, arguments: &[&str]) -> String {
    let file = kernel("deaths");
    let all = [
        &["why", "--command-line", death][..],
        arguments,
        &[path(&file), "-m", "64"],
    ];
    let output = siso_image(&all.concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    println!("--- {death}\n{said}");
    said
}

/// Asserts that a text has these parts, in this order.
fn in_order(said: &str, parts: &[&str]) {
    let mut rest = said;
    for part in parts {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("\"{part}\" is missing in {said}"));
        rest = &rest[at + part.len()..];
    }
}

/// What every triple fault without an interrupt table has in common.
const CHAIN: &str = "There is no interrupt table (IDTR limit 0)";

#[test]
fn a_full_stack() {
    in_order(
        &why("stack", &[]),
        &[
            "A triple fault",
            "1. exception 14, page fault (#PF): error code 0x2: tried to write to a page that is not present",
            "not mapped (the PT entry at ",
            "the guard page below the stack: the stack is full",
            "2. exception 8, double fault (#DF)",
            CHAIN,
            "3. The CPU gave up",
            "Backtrace:",
            "deaths::overflow, src/main.rs:",
            "more than 50 times: endless recursion?",
        ],
    );
}

#[test]
fn a_null_pointer() {
    in_order(
        &why("null", &[]),
        &[
            "1. exception 14, page fault (#PF): error code 0x0: tried to read from a page that is not present",
            "CR2 0x0: not mapped",
            "a null pointer",
            "(%rax), %al  (deaths::read, src/main.rs:",
            "2. exception 8",
            CHAIN,
            "Registers (long64):",
            "Backtrace:",
            "deaths::read, src/main.rs:",
            "deaths::die",
            "_start, src/main.rs:",
        ],
    );
}

#[test]
fn a_write_to_code() {
    in_order(
        &why("code", &[]),
        &[
            "error code 0x3: tried to write to a page that does not permit it",
            "read-only, executable: .text of the kernel",
            "deaths::write, src/main.rs:",
        ],
    );
}

#[test]
fn a_jump_to_data() {
    in_order(
        &why("data", &[]),
        &[
            "error code 0x11: tried to execute a page that does not permit it",
            "read-only, not executable: .rodata of the kernel",
        ],
    );
}

#[test]
fn a_device_that_is_not_mapped() {
    in_order(
        &why("mmio", &[]),
        &[
            "CR2 0xfee00030: not mapped",
            "the registers of a device: they are in the window to physical memory only",
            "deaths::read, src/main.rs:",
        ],
    );
}

#[test]
fn a_bad_cr3() {
    in_order(
        &why("cr3", &[]),
        &[
            "1. exception 14, page fault (#PF): error code 0x10",
            "not mapped (the PML4 entry at 0x1000000 is not present): .text of the kernel",
            "Last instructions:",
            "mov %rax, %cr3  (deaths::bad_cr3, src/main.rs:",
            "cr3 1000000",
        ],
    );
}

#[test]
fn a_division_by_zero() {
    in_order(
        &why("divide", &[]),
        &[
            "1. exception 0, divide error (#DE): divided by zero",
            "(deaths::divide, src/main.rs:",
            "2. exception 8, double fault (#DF)",
        ],
    );
}

#[test]
fn an_invalid_instruction() {
    in_order(
        &why("ud2", &[]),
        &[
            "1. exception 6, invalid opcode (#UD)",
            "ud2  (deaths::ud2, src/main.rs:",
        ],
    );
}

#[test]
fn an_address_that_is_not_canonical() {
    in_order(
        &why("gp", &[]),
        &[
            "1. exception 13, general protection (#GP): error code 0x0: no selector; a non-canonical address",
            "(deaths::read, src/main.rs:",
        ],
    );
}

#[test]
fn a_halt_with_interrupts_off() {
    in_order(
        &why("halt", &[]),
        &[
            "The CPU waits (HLT) with interrupts off: nothing can wake it.",
            "hlt  (deaths::halt, src/main.rs:",
            "Backtrace:",
            "deaths::halt",
            "_start",
        ],
    );
}

#[test]
fn an_endless_loop() {
    let output = Command::new(env!("CARGO_BIN_EXE_siso-image"))
        .args(["why", "--command-line", "loop", path(&kernel("deaths"))])
        .env("TIMEOUT", "1")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    in_order(
        &said,
        &[
            "It did not stop within ",
            " instructions: it executes the same",
            "with interrupts off",
            "% in deaths::spin, src/main.rs:",
            "Backtrace:",
            "deaths::spin",
        ],
    );
}

/// A bit of stage 1 is damaged, so its first jump goes wrong.
#[test]
fn damage_in_stage_1() {
    let folder = Folder::new();
    let file = folder.0.join("damaged.img");
    let mut bytes = image("deaths");
    assert_eq!(bytes[0], 0xeb, "a short jump");
    bytes[(layout::STAGE1_BASE & 0x1ff) as usize + 0x5a] = 0x0f; // "xor" becomes UD2
    bytes[0x5b] = 0x0b;
    fs::write(&file, bytes).expect("a file can be written");
    in_order(
        &why("damage", &["--image", path(&file)]),
        &[
            " instructions: it executes the same 1 again and again",
            "100 % in start, boot/stage1.s:",
            "an exception, whose handler in the firmware returns to it",
            "Last instructions:",
            "0x7c5a  ud2  (start, boot/stage1.s:",
            "Registers (real):",
        ],
    );
}

/// A loader that resets the machine: all of it is recorded then.
#[test]
fn a_triple_fault_in_the_loader() {
    const UD2: [u8; 2] = [0x0f, 0x0b];
    let folder = Folder::new();
    let file = folder.0.join("damaged.img");
    let mut bytes = image("deaths");
    let loader = Symbols::read(LOADER_ELF).expect("it is an ELF file");
    let enter_long = loader.address("enter_long").expect("the loader has it");
    bytes[(enter_long - layout::STAGE1_BASE) as usize..][..2].copy_from_slice(&UD2);
    let end = field(&bytes, layout::CHECKSUMS_SECTOR) * SECTOR;
    let checksum = checksum::stage2(&bytes[SECTOR..end]).to_le_bytes();
    let at = (layout::STAGE2_CHECKSUM - layout::STAGE1_BASE) as usize;
    bytes[at..][..4].copy_from_slice(&checksum);
    fs::write(&file, bytes).expect("a file can be written");
    in_order(
        &why("damage", &["--image", path(&file)]),
        &["A triple fault", "ud2  (enter_long, boot/long.s:"],
    );
}

/// The loader's own errors are repeated.
#[test]
fn an_error_of_the_loader() {
    let folder = Folder::new();
    let file = folder.0.join("damaged.img");
    let mut bytes = image("deaths");
    bytes[512 + 0x300] ^= 1; // stage 2
    fs::write(&file, bytes).expect("a file can be written");
    in_order(
        &why("damage", &["--image", path(&file)]),
        &["The loader stopped: E2 bad stage 2"],
    );
}

/// The runners say it by themselves.
#[test]
fn without_being_asked() {
    let file = kernel("deaths");
    for (arguments, settings, parts) in [
        (
            vec!["run", "--command-line", "null"],
            "60",
            vec!["CR2 0x0", "a null pointer"],
        ),
        (
            vec!["test", "--command-line", "ud2"],
            "60",
            vec!["deaths::ud2, src/main.rs:"],
        ),
        (
            vec!["test", "--command-line", "halt"],
            "5",
            vec!["with interrupts off", "deaths::halt"],
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_siso-image"))
            .args(&arguments)
            .arg(&file)
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("CARGO_MANIFEST_DIR")
            .env("TIMEOUT", settings)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("it starts");
        assert!(!output.status.success(), "{arguments:?}");
        in_order(&String::from_utf8_lossy(&output.stderr), &parts);
    }
}
