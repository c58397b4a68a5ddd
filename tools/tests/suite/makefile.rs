//! The targets of the Makefile, called as a user would.

use crate::common::{Folder, field, image, kernel, top};
use siso_image::layout::{SERIAL_AUTO, SERIAL_MODE, SERIAL_OFF, SERIAL_ON};
use std::fs;
use std::process::{Command, Output, Stdio};

/// Runs make without a display and without a terminal.
fn make(arguments: &[&str]) -> Output {
    Command::new("make")
        .args(arguments)
        .current_dir(top())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("MAKEFLAGS")
        .stdin(Stdio::null())
        .output()
        .expect("make starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn argument(name: &str, path: std::path::PathBuf) -> String {
    format!("{name}={}", path.display())
}

#[test]
fn run_shows_screen_and_serial_line() {
    let output = make(&["run", &argument("KERNEL", kernel("release/siso_os"))]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("|Hello World!  "), "{said}");
    assert!(said.contains("Hello World! This is the kernel"), "{said}");
}

/// A kernel that resets the machine is a failure.
#[test]
fn run_fails_with_a_kernel_that_faults() {
    let output = make(&["run", &argument("KERNEL", kernel("triple_fault"))]);
    let said = text(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("the machine was reset"), "{said}");
}

#[test]
fn run_without_the_loaders_lines() {
    let kernel = argument("KERNEL", kernel("release/siso_os"));
    let output = make(&["run", &kernel, "QUIET=1"]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("\nsiso_os: stage 2"), "{said}");
    assert!(said.contains("Hello World! This is the kernel"), "{said}");
}

/// A kernel that keeps writing to the screen is not; the time limit ends it.
#[test]
fn run_ends_a_kernel_that_never_halts() {
    let output = make(&[
        "run",
        &argument("KERNEL", kernel("never_halts")),
        "TIMEOUT=5",
    ]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("still ran after 5 seconds"), "{said}");
}

/// A machine that cannot start the kernel is a failure.
#[test]
fn run_fails_without_long_mode() {
    let kernel = argument("KERNEL", kernel("release/siso_os"));
    let output = make(&["run", &kernel, "QEMU_FLAGS=-cpu qemu32"]);
    let said = text(&output);
    assert!(!output.status.success(), "{said}");
    let sentence = "the loader reports: E4 this CPU has no 64-bit mode";
    assert!(said.contains(sentence), "{said}");
}

/// So is a machine whose BIOS does not find the disk.
#[test]
fn run_fails_if_the_loader_is_not_reached() {
    let kernel = argument("KERNEL", kernel("release/siso_os"));
    let output = make(&[
        "run",
        &kernel,
        "QEMU_FLAGS=-boot order=n,strict=on",
        "TIMEOUT=2",
    ]);
    let said = text(&output);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("no kernel started within 2 seconds"),
        "{said}"
    );
    // The boot that is recorded to see why does not get there either.
    let sentence = "the BIOS does not start the boot sector";
    assert!(said.contains(sentence), "{said}");
}

/// In a terminal, QEMU draws the screen there. After QEMU has ended, the serial
/// output and the cause of a reset are printed.
#[test]
fn run_in_a_terminal() {
    let folder = Folder::new();
    let enter = folder.0.join("enter");
    fs::write(&enter, "\n").expect("a file can be written");
    let program = format!(
        "{} run {}",
        env!("CARGO_BIN_EXE_siso-image"),
        kernel("triple_fault").display()
    );
    let output = Command::new("script") // gives it a terminal
        .args(["-qec", &program, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(fs::File::open(&enter).expect("the file can be opened"))
        .output()
        .expect("script starts");
    let said = text(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("Serial line:\r\nsiso_os: stage 2"), "{said}");
    assert!(said.contains("\nabout to fault\r\n"), "{said}");
    assert!(said.contains("a triple fault reset the machine"), "{said}");
}

/// A command line reaches the kernel exactly as it was typed.
#[test]
fn command_lines_are_not_expanded() {
    let kernel = argument("KERNEL", kernel("release/ramdisk"));
    let output = make(&[
        "run",
        &kernel,
        "CMDLINE=--wx $HOME 'a  b' \"c\" $(shell false)",
    ]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let line = "|command line: --wx $HOME 'a  b' \"c\" $(shell false) ";
    assert!(said.contains(line), "{said}");
}

#[test]
fn new_needs_a_valid_name() {
    for (name, words) in [
        ("NAME=", "NAME is missing"),
        ("NAME=a\"b", "not a valid name for a kernel"),
        ("NAME=my kernel", "not a valid name for a kernel"),
    ] {
        let output = make(&["new", name]);
        assert!(!output.status.success(), "{name}");
        assert!(text(&output).contains(words), "{}", text(&output));
    }
}

#[test]
fn image_accepts_any_kernel() {
    let folder = Folder::new();
    let file = folder.0.join("other.img");
    let arguments = [
        argument("KERNEL", kernel("seed")),
        argument("IMAGE", file.clone()),
    ];
    let output = make(&["image", &arguments[0], &arguments[1]]);
    assert!(output.status.success(), "{}", text(&output));
    let made = fs::read(file).expect("the image exists");
    assert!(made == image("seed"), "a different image");
}

/// SERIAL reaches the image: the loader reads its mode from stage 2's header.
#[test]
fn serial_mode_is_stored_in_the_image() {
    let folder = Folder::new();
    for (serial, mode) in [
        ("SERIAL=on", SERIAL_ON),
        ("SERIAL=off", SERIAL_OFF),
        ("SERIAL=auto", SERIAL_AUTO),
    ] {
        let file = folder.0.join(serial);
        let arguments = [
            argument("KERNEL", kernel("seed")),
            argument("IMAGE", file.clone()),
        ];
        let output = make(&["image", &arguments[0], &arguments[1], serial]);
        assert!(output.status.success(), "{}", text(&output));
        let image = fs::read(file).expect("the image exists");
        assert_eq!(field(&image, SERIAL_MODE) as u64, mode, "{serial}");
    }
    let output = make(&["image", "SERIAL=loud"]);
    assert!(!output.status.success());
    let sentence = "invalid value 'loud' for '--serial <MODE>'";
    assert!(text(&output).contains(sentence), "{}", text(&output));
}

/// `cargo run` boots the kernel and the examples with the same runner.
#[test]
fn cargo_run_boots_the_kernel() {
    for arguments in [
        &["run", "--release"][..],
        &["run", "--release", "--example", "hello"],
    ] {
        let output = Command::new("cargo")
            .args(arguments)
            .current_dir(top())
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("RUSTUP_TOOLCHAIN") // set by the Cargo that runs this test
            .stdin(Stdio::null())
            .output()
            .expect("Cargo starts");
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("|Hello World!  "), "{said}");
    }
}

#[test]
fn disasm_shows_three_modes() {
    let output = make(&["disasm", &argument("KERNEL", kernel("release/siso_os"))]);
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for (mode, line) in [
        ("16-bit", "mov    %dl,"),
        ("32-bit", "mov    %eax,%cr3"),
        ("64-bit", "imul   %rdx,%rax"),
    ] {
        let part = said.split("=== ").filter(|part| part.starts_with(mode));
        assert!(
            part.clone().any(|part| part.contains(line)),
            "no '{line}' in {mode} code"
        );
    }
}

#[test]
fn help_names_every_target() {
    let said = text(&make(&["help"]));
    let makefile = fs::read_to_string(top().join("Makefile")).expect("the Makefile can be read");
    let phony = makefile
        .lines()
        .find_map(|line| line.strip_prefix(".PHONY: "))
        .expect("the Makefile lists its targets");
    // Targets that only other targets need are not for users.
    const PARTS: [&str; 6] = [
        "setup",
        "kernel",
        "kernels",
        "test-tour",
        "test-book",
        "test-labs",
    ];
    for target in phony.split(' ').filter(|target| !PARTS.contains(target)) {
        assert!(
            said.contains(&format!("make {target} ")),
            "{target}: {said}"
        );
    }
}
