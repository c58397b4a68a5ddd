//! Access to files and programs, with errors that name them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes a file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// The C compiler, which also assembles and links: `$CC` or `cc`.
pub fn compiler() -> Command {
    Command::new(env::var("CC").unwrap_or_else(|_| "cc".into()))
}

/// Runs a program; returns its output, or an error with its error message.
pub fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}: {}", output.status, errors.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into())
}
