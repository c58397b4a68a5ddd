//! What turns the chapters in `docs/book/src` into the book.
//!
//! The chapters are Markdown for mdBook, with four marks of our own, each on a line
//! of its own: `{{#quote FILE:ANCHOR}}` ([`quote`]), `{{#picture NAME}}` ([`picture`]),
//! `{{#tour NAME}}` ([`tour`]) and `{{#sector0}}` ([`explain`]); and in any line `{{NAME}}`, a figure that the build
//! knows ([`values`]). [`preprocess`] replaces all of them when mdBook calls it.

pub mod chapters;
pub mod explain;
pub mod glossary;
pub mod links;
pub mod loader;
pub mod picture;
pub mod preprocess;
pub mod quote;
pub mod source;
pub mod tools;
pub mod tour;
pub mod values;

use siso_image::elf::Kernel;
use siso_image::image::{Image, Options};
use siso_image::manifest::Manifest;
use std::path::{Path, PathBuf};

/// The top folder of the project: `$SISO_TOP`, for a program that was copied elsewhere
/// (`siso-labs handout`), or the one that this was built in.
pub fn top() -> PathBuf {
    if let Some(top) = std::env::var_os("SISO_TOP") {
        return top.into();
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let top = tools.and_then(Path::parent);
    top.expect("this crate is in tools/book").into()
}

/// Reads a file of the project; `path` is relative to its top folder.
pub fn read(path: impl AsRef<Path>) -> Result<String, String> {
    let path = path.as_ref();
    std::fs::read_to_string(top().join(path))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// This project's kernel for tests, which `make kernels` builds.
pub fn test_kernel() -> PathBuf {
    let file = top().join("target/kernels/release/siso_os");
    assert!(
        file.exists(),
        "{} does not exist: run `make kernels`",
        file.display()
    );
    file
}

/// The image of a kernel, as `make image` builds it without options.
pub fn image_of(kernel: &Path) -> Result<Image, String> {
    let about = |error: String| format!("{}: {error}", kernel.display());
    let elf = std::fs::read(kernel).map_err(|error| about(error.to_string()))?;
    let parsed = Kernel::parse(&elf, false).map_err(|error| about(error.to_string()))?;
    Image::new(&parsed, &Manifest::default(), &Options::default())
        .map_err(|error| about(error.to_string()))
}
