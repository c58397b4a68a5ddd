//! What the tests share.

#![allow(dead_code)] // no test file uses everything

pub mod loader;

pub use siso_book::test_kernel as kernel;
use siso_book::values::Values;

/// Its image.
pub fn image() -> Vec<u8> {
    siso_book::image_of(&kernel()).expect("it is valid").bytes
}

/// The figures of the build.
pub fn values() -> Values {
    Values::new(&kernel()).expect("all figures are known")
}

/// What is wanted, and was not said.
pub fn missing(wanted: &str, said: &str) -> Option<String> {
    let mut lines = said.lines();
    let missing = wanted
        .lines()
        .filter(|line| line.trim() != "...")
        .find(|line| {
            !lines.any(|said| {
                let mut rest = said;
                line.trim()
                    .split("...")
                    .all(|part| match rest.find(part.trim()) {
                        Some(at) => {
                            rest = &rest[at + part.trim().len()..];
                            true
                        }
                        None => false,
                    })
            })
        })?;
    Some(format!("'{missing}' is not in the output:\n{said}"))
}
