//! Assembles the loader in `boot/` with GNU `as` and tells Rust about it.
//!
//! Two packages use this one recipe: the kernel, whose `cargo build` so also
//! checks the loader, and the image builder in `tools/`, which carries the
//! loader's bytes inside itself. Both get three variables at compile time:
//!
//! - `LOADER_ELF`: the linked loader, with symbols and line numbers
//! - `LOADER_BIN`: its bytes as they go to the disk, from sector 0 on
//! - `LOADER_LAYOUT`: Rust constants of every address in `boot/layout.inc`
//!   and every global symbol of the loader

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The loader's files in the order in which they run, which is their order in
/// memory, too.
const BOOT_FILES: [&str; 20] = [
    "stage1",
    "stage2",
    "cpu",
    "a20",
    "protected",
    "long",
    "console",
    "bios",
    "header",
    "memory",
    "kernel",
    "chunk",
    "elf",
    "allocate",
    "map",
    "paging",
    "address_space",
    "boot_info",
    "start_kernel",
    "errors",
];

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    let top = manifest
        .ancestors()
        .find(|dir| dir.join("boot/boot.ld").exists())
        .expect("boot/ stands beside build.rs");
    let boot = top.join("boot");
    println!("cargo::rerun-if-changed={}", boot.display());

    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        refuse_host_flags();
        let script = manifest.join("linker.ld");
        println!("cargo::rerun-if-changed={}", script.display());
        println!("cargo::rustc-link-arg=-T{}", script.display());
        // The file is packed: our loader does not need it aligned to pages.
        println!("cargo::rustc-link-arg=--nmagic");
    }

    check_layout(&boot.join("layout.inc"));

    // The loader is x86-64 code, whatever the host is.
    let mut build = cc::Build::new();
    build
        .target("x86_64-unknown-linux-gnu")
        .no_default_flags(true)
        .warnings(false)
        .flag("-g")
        .flag("-Wa,--fatal-warnings")
        .flag(format!("-Wa,-I,{}", boot.display()))
        .files(
            BOOT_FILES
                .iter()
                .map(|name| boot.join(name).with_extension("s")),
        );
    let objects = build.compile_intermediates();
    let compiler = build.get_compiler();

    let elf = out.join("loader.elf");
    let bin = out.join("loader.bin");
    link(&compiler, &boot, &objects, &elf, "elf64-x86-64");
    link(&compiler, &boot, &objects, &bin, "binary");
    let layout = out.join("layout.rs");
    fs::write(&layout, constants(&symbols(&compiler, &elf))).expect("OUT_DIR is writable");

    println!("cargo::rustc-env=LOADER_ELF={}", elf.display());
    println!("cargo::rustc-env=LOADER_BIN={}", bin.display());
    println!("cargo::rustc-env=LOADER_LAYOUT={}", layout.display());
}

/// RUSTFLAGS meant for the host, such as `-C target-cpu=native`, would put
/// instructions into the kernel that nothing has enabled yet.
fn refuse_host_flags() {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    for flag in ["target-cpu", "target-feature"] {
        if flags.contains(flag) {
            println!("cargo::error=RUSTFLAGS sets {flag}, which the kernel cannot take: unset it");
            std::process::exit(1);
        }
    }
}

/// GNU `as` computes a symbol from one that is defined further down without a
/// warning, and wrong: every name must stand above its first use.
fn check_layout(path: &Path) {
    let text = fs::read_to_string(path).expect("layout.inc is readable");
    let code = text
        .split("/*")
        .map(|part| part.rsplit("*/").next().unwrap_or(""));
    let code: String = code.collect();
    let mut known: Vec<&str> = Vec::new();
    for (name, value) in code.split(';').filter_map(|line| line.split_once('=')) {
        let words = value.split(|c: char| !c.is_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with(|c: char| c.is_alphabetic())) {
            if !known.contains(&word) {
                println!(
                    "cargo::error=layout.inc: {} uses {word} above its place",
                    name.trim()
                );
            }
        }
        known.push(name.trim());
    }
}

fn link(compiler: &cc::Tool, boot: &Path, objects: &[PathBuf], to: &Path, format: &str) {
    run(compiler
        .to_command()
        .args([
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,-n",
            "-Wl,--fatal-warnings",
        ])
        .args(["-Wl,--build-id=none", "-Wl,-z,noexecstack"])
        .arg(format!("-Wl,-L{}", boot.display()))
        .arg(format!("-Wl,-T{}", boot.join("boot.ld").display()))
        .arg(format!("-Wl,--oformat={format}"))
        .arg("-o")
        .arg(to)
        .args(objects));
}

/// Name and value of every global symbol.
fn symbols(compiler: &cc::Tool, elf: &Path) -> Vec<(String, u64)> {
    // "x86_64-linux-gnu-gcc" has "x86_64-linux-gnu-nm" beside it.
    let nm = match compiler
        .path()
        .to_str()
        .and_then(|path| path.strip_suffix("gcc"))
    {
        Some(prefix) => format!("{prefix}nm"),
        None => "nm".into(),
    };
    let listing = run(Command::new(nm).arg("--extern-only").arg(elf));
    let line = |line: &str| {
        let (value, rest) = line.split_once(' ')?;
        Some((
            rest.get(2..)?.to_string(),
            u64::from_str_radix(value, 16).ok()?,
        ))
    };
    listing.lines().filter_map(line).collect()
}

fn constants(symbols: &[(String, u64)]) -> String {
    symbols
        .iter()
        .map(|(name, value)| {
            format!(
                "#[allow(missing_docs)] pub const {}: u64 = {value:#x};\n",
                name.to_uppercase()
            )
        })
        .collect()
}

/// Runs a tool and returns what it printed, or stops the build with its words.
fn run(command: &mut Command) -> String {
    match command.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into(),
        Ok(output) => {
            for line in String::from_utf8_lossy(&output.stderr).lines() {
                println!("cargo::error={line}");
            }
            std::process::exit(1);
        }
        Err(error) => {
            let program = command.get_program().to_string_lossy();
            println!("cargo::error={program}: {error}; `make doctor` tells how to get it");
            std::process::exit(1);
        }
    }
}
