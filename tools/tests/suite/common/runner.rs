//! The image builder as Cargo calls it: its output, its exit status, its settings.

use super::{Folder, path};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

/// Runs the image builder without a display and without a terminal, with these
/// settings in its environment; returns all that it printed, too.
pub fn siso_image(arguments: &[&str], settings: &[(&str, &str)]) -> (Output, String) {
    let output = command()
        .args(arguments)
        .envs(settings.iter().copied())
        .output()
        .expect("the image builder starts");
    let said = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8_lossy(&said).into_owned())
}

/// The image builder, without settings of this test.
pub fn command() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_siso-image")))
}

/// The same, with SIGINT as in a terminal: a shell starts a job in the background with
/// that signal ignored, and so all that the job starts.
pub fn command_that_can_be_interrupted() -> Command {
    let mut command = without_settings(Command::new("env"));
    command
        .arg("--default-signal=INT")
        .arg(env!("CARGO_BIN_EXE_siso-image"));
    command
}

fn without_settings(mut command: Command) -> Command {
    for name in [
        "CARGO_MANIFEST_DIR", // set for this test's package
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "TIMEOUT",
        "QEMU",
        "QEMU_FLAGS",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A package whose `Cargo.toml` has these lines after its name.
pub fn package(lines: &str) -> Folder {
    let folder = Folder::new();
    let manifest = format!("[package]\nname = \"os\"\nedition = \"2024\"\n{lines}\n");
    fs::write(folder.0.join("Cargo.toml"), manifest).expect("a file can be written");
    fs::create_dir(folder.0.join("src")).expect("a folder can be made");
    fs::write(folder.0.join("src/main.rs"), "").expect("a file can be written");
    folder
}

/// The same with lines in `[package.metadata.bootimage]`.
pub fn bootimage_package(lines: &str) -> Folder {
    package(&format!("[package.metadata.bootimage]\n{lines}"))
}

/// A program in this folder that prints its name and arguments, and exits with
/// this status.
pub fn fake_program(folder: &Folder, name: &str, status: u8) -> String {
    script(
        folder,
        name,
        &format!("echo {name} \"$@\"\nexit {status}\n"),
    )
}

/// A program in this folder that is a shell script.
pub fn script(folder: &Folder, name: &str, text: &str) -> String {
    let file = folder.0.join(name);
    fs::write(&file, format!("#!/bin/sh\n{text}")).expect("a file can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is our file");
    path(&file).into()
}
