//! A copy of the kernel's package with a student's file in it, built with the lab's own
//! kernel as an example: `docs/labs/NAME/kernel.rs`.
//!
//! It is below `target`, so that Cargo finds the project's settings and toolchain, and what
//! it has compiled of `core` is there the next time. Nothing of it needs the loader's
//! sources, a C compiler or a network.

use crate::handout::copy;
use crate::lab::Lab;
use crate::student;
use serde_json::Value;
use siso_book::tools::{Limits, Said, limited, path};
use siso_book::{read, top};
use std::fs::{self, File};
use std::io;
use toml_edit::{DocumentMut, Item, Table};

/// Where it is, from the top folder on.
const FOLDER: &str = "target/labs";
/// The lab's kernel in it.
const EXAMPLE: &str = "lab";
/// What a compiler may need: `core`, which is compiled when it is not there yet, takes
/// most.
const LIMITS: Limits = Limits {
    seconds: 120,
    memory: 4 << 10,
    file: 256,
};

/// Builds the lab's kernel with a student's text; or says why not.
pub fn build(lab: &Lab, text: &str) -> Result<Vec<u8>, String> {
    let folder = top().join(FOLDER);
    let about = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(about)?;
    // One at a time; the lock goes with the file.
    let lock = File::create(folder.join("lock")).map_err(about)?;
    lock.lock().map_err(about)?;
    let package = folder.join("package");
    if package.exists() {
        fs::remove_dir_all(&package).map_err(about)?;
    }
    copy(&top().join("src"), &package.join("src")).map_err(about)?;
    fs::write(package.join("Cargo.toml"), manifest()?).map_err(about)?;
    let layout = package.join("layout.rs");
    fs::write(&layout, siso_image::LAYOUT).map_err(about)?;
    fs::create_dir(package.join("examples")).map_err(about)?;
    let example = package.join("examples").join(EXAMPLE).with_extension("rs");
    fs::copy(lab.folder().join("kernel.rs"), example).map_err(about)?;
    fs::write(package.join(&lab.file), text).map_err(about)?;
    let linked = format!("link-arg=-T{}", path(&top().join("linker.ld")));
    let said = limited("cargo", LIMITS, |command| {
        command
            .args(["rustc", "--example", EXAMPLE, "--offline", "--quiet"])
            .args(["--message-format", "json", "--target-dir"])
            .arg(folder.join("build"))
            // As the kernel's build script has it.
            .args(["--", "-C", &linked, "-C", "link-arg=--nmagic"])
            .current_dir(&package)
            .env("LOADER_LAYOUT", &layout);
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
    })?;
    if !said.good {
        return Err(errors(&said, lab));
    }
    let messages = messages(&said);
    let elf = messages
        .iter()
        .filter(|message| message["target"]["name"] == EXAMPLE)
        .find_map(|message| message["executable"].as_str())
        .ok_or("Cargo built no kernel")?;
    fs::read(elf).map_err(|error| format!("{elf}: {error}"))
}

/// The kernel's manifest, without what only its own build and its tests need. It is a
/// workspace by itself: Cargo looks at no other manifest. A function of `core` is inlined,
/// so that a fault in it is on the line that calls it.
fn manifest() -> Result<String, String> {
    let mut manifest: DocumentMut = read("Cargo.toml")?
        .parse()
        .map_err(|error: toml_edit::TomlError| error.to_string())?;
    for part in ["build-dependencies", "test"] {
        manifest.remove(part);
    }
    manifest["workspace"] = Item::Table(Table::new());
    manifest["profile"]["dev"]["package"]["siso_os"]["opt-level"] = toml_edit::value(1);
    Ok(manifest.to_string())
}

fn messages(said: &Said) -> Vec<Value> {
    let lines = said.output.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// What the compiler says against the student's file; or Cargo, if it did not come so far.
fn errors(said: &Said, lab: &Lab) -> String {
    let messages = messages(said);
    let errors: Vec<&str> = messages
        .iter()
        .map(|message| &message["message"])
        .filter(|message| message["level"] == "error")
        .filter_map(|message| message["rendered"].as_str())
        .collect();
    let text = match errors.is_empty() {
        true => format!("cargo: {}", said.messages.trim()),
        false => errors.join("\n"),
    };
    text.replace(&lab.file, &student::shown(lab))
}
