//! An image of the loader with a bug in it, which a student has to find.

use crate::lab::Lab;
use siso_book::loader;
use siso_book::tools::{binutil, path};
use std::fs;
use std::path::Path;

/// The files of a bug: the image, and the loader's symbols for a debugger.
pub const FILES: [&str; 2] = ["bug.img", "loader.elf"];

/// Makes these files in a folder, with a kernel.
pub fn make(lab: &Lab, folder: &Path, kernel: &Path) -> Result<(), String> {
    let about = |error: std::io::Error| format!("{}: {error}", folder.display());
    let [image, symbols] = FILES.map(|name| folder.join(name));
    // A student's copy has them already: there is no source to make them of.
    if lab.folder().join(FILES[0]).exists() {
        for name in FILES {
            fs::copy(lab.folder().join(name), folder.join(name)).map_err(about)?;
        }
        return Ok(());
    }
    let work = tempfile::tempdir().map_err(about)?;
    let boot = loader::copy(work.path())?;
    loader::change(&lab.change, work.path())?;
    let built = loader::build(&boot, work.path())?;
    fs::write(&image, built.image(kernel)?).map_err(about)?;
    fs::write(&symbols, &built.elf).map_err(about)?;
    // Line numbers would lead to the file that was changed, which is gone.
    binutil("strip", &["--strip-debug", path(&symbols)]).map(drop)
}
