//! `siso-image new`: a new kernel to begin with, a copy of this project's own
//! in a folder of its own.
//!
//! It needs nothing of this project but this program, as its runner.

use std::fs;
use std::path::Path;

/// The name that gives way to the new kernel's.
const NAME: &str = "siso_os";

/// Files that are copied: name, and what is in them.
const FILES: &[(&str, &str)] = &[
    (
        ".cargo/config.toml",
        include_str!("../template/config.toml"),
    ),
    (".gitignore", "/target\n"),
    ("Cargo.toml", include_str!("../template/Cargo.toml")),
    ("build.rs", include_str!("../template/build.rs")),
    ("linker.ld", include_str!("../../linker.ld")),
    ("rust-toolchain", include_str!("../../rust-toolchain")),
    (
        "x86_64-siso_os.json",
        include_str!("../../x86_64-siso_os.json"),
    ),
    ("examples/hello.rs", include_str!("../../examples/hello.rs")),
    ("src/boot_info.rs", include_str!("../../src/boot_info.rs")),
    ("src/cpu.rs", include_str!("../../src/cpu.rs")),
    ("src/lib.rs", include_str!("../../src/lib.rs")),
    ("src/main.rs", include_str!("../../src/main.rs")),
    ("src/panic.rs", include_str!("../../src/panic.rs")),
    ("src/port.rs", include_str!("../../src/port.rs")),
    ("src/serial.rs", include_str!("../../src/serial.rs")),
    ("src/vga.rs", include_str!("../../src/vga.rs")),
];

/// What the new kernel has to know of the loader: the names of these kinds.
const LAYOUT: &str = include_str!(env!("LOADER_LAYOUT"));
const LAYOUT_NAMES: [&str; 3] = ["INFO_", "KIND_", "PAGE_BYTES"];

/// Makes a folder with a new kernel in it, named like the folder.
pub fn make(folder: &Path) -> Result<(), String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    if !is_crate_name(&name) {
        return Err(about(
            &"no name for a kernel: it wants letters, digits, - and _, and a letter first",
        ));
    }
    if fs::read_dir(folder).is_ok_and(|mut there| there.next().is_some()) {
        return Err(about(&"is there already, and not empty"));
    }
    for (file, text) in FILES {
        write(folder, file, text, &name).map_err(|error| about(&error))?;
    }
    let layout: String = LAYOUT
        .lines()
        .filter(|line| {
            LAYOUT_NAMES
                .iter()
                .any(|name| line.contains(&format!("pub const {name}")))
        })
        .map(|line| format!("{}\n", line.trim_start_matches("#[allow(missing_docs)] ")))
        .collect();
    let layout = format!("// The boot info's layout, as the loader has it.\n{layout}");
    write(folder, "src/layout.rs", &layout, &name).map_err(|error| about(&error))?;
    println!(
        "{0}: a new kernel. To boot it, and its tests:\n\n    cd {0}\n    cargo run\n    cargo test\n",
        folder.display()
    );
    Ok(())
}

/// As `cargo new` wants them.
fn is_crate_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

fn write(folder: &Path, file: &str, text: &str, name: &str) -> std::io::Result<()> {
    // In Rust, a crate's name has no dashes.
    let text = text
        .replace(
            "include!(env!(\"LOADER_LAYOUT\"))",
            "include!(\"layout.rs\")",
        )
        .replace(&format!("name = \"{NAME}\""), &format!("name = \"{name}\""))
        .replace(NAME, &name.replace('-', "_"));
    let path = folder.join(file.replace(NAME, &name.replace('-', "_")));
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    fs::write(path, text)
}
