//! `siso-image new`: a new kernel to begin with, a copy of this project's own
//! in a folder of its own.
//!
//! It needs nothing of this project but this program, as its runner.

use std::fs;
use std::path::Path;

/// Files of this project that are copied as they are, but for its name.
macro_rules! copied {
    ($($file:literal)*) => { &[$(($file, include_str!(concat!("../../", $file)))),*] };
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
/// Files that a new kernel has in other words.
const OTHERS: &[(&str, &str)] = &[
    (".gitignore", "/target\n"),
    ("Cargo.toml", include_str!("../template/Cargo.toml")),
    ("build.rs", include_str!("../template/build.rs")),
];

/// What is known of the loader, and the file that wants some of it.
const LAYOUT: &str = include_str!(env!("LOADER_LAYOUT"));
const BOOT_INFO: &str = include_str!("../../src/boot_info.rs");

/// Makes a folder with a new kernel in it, named like the folder.
pub fn make(folder: &Path) -> Result<(), String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    // An empty folder that is there already may be called by another name.
    let whole = fs::canonicalize(folder).unwrap_or_else(|_| folder.into());
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    if !is_crate_name(&name) {
        return Err(about(
            &"no name for a kernel: it wants letters, digits, - and _, a letter first, and \
              no word of Rust's own",
        ));
    }
    if fs::read_dir(folder).is_ok_and(|mut there| there.next().is_some()) {
        return Err(about(&"is there already, and not empty"));
    }
    for (file, text) in COPIED.iter().chain(OTHERS) {
        write(folder, &named(file, &name), &named(text, &name)).map_err(|error| about(&error))?;
    }
    write(folder, "src/layout.rs", &layout()).map_err(|error| about(&error))?;
    println!(
        "{0}: a new kernel. To boot it, and its tests:\n\n    cd {0}\n    cargo run\n    cargo test\n",
        folder.display()
    );
    Ok(())
}

/// Names that mean something else to Rust or to Cargo.
const TAKEN: &str = "abstract alloc as async await become box break build const continue core \
    crate deps do dyn else enum examples extern false final fn for gen if impl in incremental let \
    loop macro match mod move mut override priv proc_macro pub ref return self static std struct \
    super test trait true try type typeof unsafe unsized use virtual where while yield";

/// As `cargo new` wants them.
fn is_crate_name(name: &str) -> bool {
    let in_code = name.replace('-', "_");
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !TAKEN.split_whitespace().any(|taken| taken == in_code)
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// A text of ours as it is in a kernel of this name.
fn named(text: &str, name: &str) -> String {
    let in_code = name.replace('-', "_"); // as Rust writes a crate's name
    text.replace("siso_os::", &format!("{in_code}::"))
        .replace("\"siso_os\"", &format!("\"{name}\""))
        .replace("x86_64-siso_os", &format!("x86_64-{name}"))
        .replace("env!(\"LOADER_LAYOUT\")", "\"layout.rs\"")
        .replace("tools/siso run", "siso-image run")
        .replace("; its `boot/long.s` shows in what state.", ".")
        .replace(
            " The whole contract stands in `docs/protocol.md` of siso_os.",
            "",
        )
}

/// The constants that `boot_info.rs` names, which our own kernel gets from its
/// build script.
fn layout() -> String {
    let words: Vec<&str> = BOOT_INFO
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let mut text = String::from("// The boot info's layout, as the loader has it.\n");
    for line in LAYOUT.lines() {
        let Some((_, constant)) = line.split_once("pub const ") else {
            continue;
        };
        if constant
            .split(':')
            .next()
            .is_some_and(|name| words.contains(&name))
        {
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
