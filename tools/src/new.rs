//! `siso-image new`: creates a new kernel, a copy of this project's kernel, in
//! its own folder.
//!
//! The new kernel needs nothing from this project except `siso-image` as its
//! runner.

use crate::LAYOUT;
use std::fs;
use std::path::Path;

/// Files of this project that are copied unchanged except for the kernel's name.
macro_rules! copied {
    ($($file:literal)*) => { &[$(($file, include_str!(concat!("../template/", $file)))),*] };
}

const COPIED: &[(&str, &str)] = copied![
    ".cargo/config.toml"
    "linker.ld"
    "rust-toolchain"
    "x86_64-siso_os.json"
    "examples/hello.rs"
    "src/boot_info.rs"
    "src/cpu.rs"
    "src/exceptions/decode.rs"
    "src/exceptions/entry.rs"
    "src/exceptions/mod.rs"
    "src/exceptions/tables.rs"
    "src/lib.rs"
    "src/main.rs"
    "src/once_cell.rs"
    "src/panic.rs"
    "src/port.rs"
    "src/qemu.rs"
    "src/serial.rs"
    "src/testing.rs"
    "src/vga.rs"
    "tests/basic.rs"
    "tests/should_panic.rs"
    "tests/stack_overflow.rs"
];
/// Files whose contents differ from this project's.
const OTHERS: &[(&str, &str)] = &[
    (".gitignore", "/target\n"),
    ("Cargo.toml", include_str!("../template/Cargo.toml.in")),
    ("build.rs", include_str!("../template/build.rs.in")),
];

/// The file that uses some of the loader's constants.
const BOOT_INFO: &str = include_str!("../template/src/boot_info.rs");

/// Creates a folder with a new kernel, named after the folder.
pub fn make(folder: &Path) -> Result<(), String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    // The path of an existing folder may not end in its name, as in ".".
    let full = fs::canonicalize(folder).unwrap_or_else(|_| folder.into());
    let name = full.file_name().unwrap_or_default().to_string_lossy();
    if !is_crate_name(&name) {
        return Err(about(
            &"not a valid name for a kernel: use letters, digits, - and _, start with a letter, \
              and avoid the keywords of Rust",
        ));
    }
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(about(&"already exists and is not empty"));
    }
    for (file, text) in COPIED.iter().chain(OTHERS) {
        write(folder, &named(file, &name), &named(text, &name)).map_err(|error| about(&error))?;
    }
    write(folder, "src/layout.rs", &layout()).map_err(|error| about(&error))?;
    println!(
        "Created a new kernel in {0}. To boot it and to run its tests:\n\n    cd {0}\n    cargo run\n    cargo test\n",
        folder.display()
    );
    Ok(())
}

/// Names that are reserved by Rust or by Cargo.
const RESERVED: &str = "abstract alloc as async await become box break build const continue core \
    crate deps do dyn else enum examples extern false final fn for gen if impl in incremental let \
    loop macro match mod move mut override priv proc_macro pub ref return self static std struct \
    super test trait true try type typeof unsafe unsized use virtual where while yield";

/// The names that `cargo new` accepts.
fn is_crate_name(name: &str) -> bool {
    let in_code = name.replace('-', "_");
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !RESERVED.split_whitespace().any(|word| word == in_code)
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// A file's text, adapted to a kernel of this name.
fn named(text: &str, name: &str) -> String {
    let in_code = name.replace('-', "_"); // the crate's name in Rust code
    text.replace("siso_os::", &format!("{in_code}::"))
        .replace("\"siso_os\"", &format!("\"{name}\""))
        .replace("x86_64-siso_os", &format!("x86_64-{name}"))
        .replace("env!(\"LOADER_LAYOUT\")", "\"layout.rs\"")
        .replace("tools/siso run", "siso-image run")
        .replace("; see its `boot/start_kernel.s`.", ".")
        .replace(" `docs/protocol.md` of siso_os has the full protocol.", "")
}

/// The constants that `boot_info.rs` uses. This project's kernel gets them from
/// its build script.
pub fn layout() -> String {
    let words: Vec<&str> = BOOT_INFO
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    // A routine of the loader may have the name of something else there.
    let is_used = |name: &str| {
        let constant = name.starts_with("KIND_") || BOOT_INFO.contains(&format!("layout::{name}"));
        constant && words.contains(&name)
    };
    let mut text = String::from("// The layout of the boot info, from the loader.\n");
    for line in LAYOUT.lines() {
        let Some((_, constant)) = line.split_once("pub const ") else {
            continue;
        };
        if constant.split(':').next().is_some_and(is_used) {
            text += &format!("pub const {constant}\n");
        }
    }
    text
}

fn write(folder: &Path, file: &str, text: &str) -> std::io::Result<()> {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    fs::write(path, text)
}
