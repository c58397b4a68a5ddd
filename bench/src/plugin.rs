//! Compiles QEMU plugins.

use crate::tools;
use std::path::{Path, PathBuf};

/// Compiles a plugin in a folder: its name and its source.
pub fn compile(folder: &Path, name: &str, source: &str) -> Result<PathBuf, String> {
    let file = |extension: &str| folder.join(name).with_extension(extension);
    tools::write(&folder.join("plugin.h"), include_bytes!("../plugin.h"))?;
    tools::write(&file("c"), source.as_bytes())?;
    tools::run(
        tools::compiler()
            .args(["-shared", "-fPIC", "-O2"])
            .arg(file("c"))
            .arg("-o")
            .arg(file("so")),
    )?;
    Ok(file("so"))
}
