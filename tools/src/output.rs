//! Writes a file whole or not at all.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// Writes to a temporary file beside `path`, then renames it: whatever goes
/// wrong, an existing file stays as it was. A link is followed; a device or
/// a folder is refused, as the new file would take its place.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.into());
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other(
            "is no file; `make usb` writes to a device",
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
