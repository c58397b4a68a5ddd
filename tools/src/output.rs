//! Writes a file atomically.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Writes to a temporary file next to `path`, then renames it, so that an error
/// leaves an existing file unchanged. Symbolic links are followed. Devices and
/// folders are refused, because the new file would replace them.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.into());
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(io::Error::other(
            "is not a regular file; `make usb` writes to a device",
        ));
    }
    let mut name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary: PathBuf = path.with_file_name(name);
    let written = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary); // it may not even exist
    }
    written
}
