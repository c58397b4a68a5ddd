//! GNU binutils: `nm`, `objdump`, and for experiments `as` and `ld`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs one of the tools and returns its output. On a host of another architecture,
/// the tools for x86-64 have a prefix.
pub fn binutil(name: &str, arguments: &[&str]) -> Result<String, String> {
    let prefix = if cfg!(target_arch = "x86_64") {
        ""
    } else {
        "x86_64-linux-gnu-"
    };
    let program = format!("{prefix}{name}");
    let output = Command::new(&program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {}", said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A file with the linked loader, in this folder.
pub fn loader_elf(folder: &Path) -> Result<PathBuf, String> {
    let file = folder.join("loader.elf");
    std::fs::write(&file, siso_image::LOADER_ELF).map_err(|error| error.to_string())?;
    Ok(file)
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("paths of temporary files are UTF-8")
}
