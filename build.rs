//! Assembles the loader in `boot/` with GNU `as` and makes it available to Rust.
//!
//! Two packages share this build script: the kernel, so that its `cargo build`
//! also checks the loader, and the image builder in `tools/`, which embeds the
//! loader's bytes. Both get three environment variables at compile time:
//!
//! - `LOADER_ELF`: the linked loader, with symbols and line numbers
//! - `LOADER_BIN`: its bytes as stored on the disk, from sector 0 on
//! - `LOADER_LAYOUT`: Rust constants for every address in `boot/layout.inc`
//!   and every global symbol of the loader

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The loader's source files, in the order of execution, which is also their
/// order in memory.
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
    // In tools/, it is a symbolic link.
    let boot = manifest.join("boot");
    let boot = boot.canonicalize().expect("boot/ is next to Cargo.toml");
    println!("cargo::rerun-if-changed={}", boot.display());

    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        refuse_host_flags();
        let script = manifest.join("linker.ld");
        println!("cargo::rerun-if-changed={}", script.display());
        println!("cargo::rustc-link-arg=-T{}", script.display());
        // Do not pad the file: the loader does not need page-aligned segments in it.
        println!("cargo::rustc-link-arg=--nmagic");
    }

    check_layout(&boot.join("layout.inc"));

    // The loader is x86-64 code, regardless of the host.
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
    let objects = match build.try_compile_intermediates() {
        Ok(objects) => objects,
        Err(error) if error.to_string().starts_with("ToolNotFound") => {
            fail(&format!("{error}; {NEEDED}"))
        }
        Err(error) => fail(&error.to_string()),
    };
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

/// RUSTFLAGS meant for the host, such as `-C target-cpu=native`, would generate
/// instructions that the kernel has not enabled.
fn refuse_host_flags() {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    for flag in ["target-cpu", "target-feature"] {
        if flags.contains(flag) {
            fail(&format!(
                "RUSTFLAGS sets {flag}, which must not be set for the kernel; unset RUSTFLAGS"
            ));
        }
    }
}

/// GNU `as` silently miscomputes a symbol whose definition uses a symbol that is
/// defined later, so every name must be defined before its first use.
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
                fail(&format!(
                    "layout.inc: {} uses {word} before its definition",
                    name.trim()
                ));
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

/// The name and value of every global symbol.
fn symbols(compiler: &cc::Tool, elf: &Path) -> Vec<(String, u64)> {
    // "x86_64-linux-gnu-gcc" comes with "x86_64-linux-gnu-nm".
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

/// Runs a tool and returns its output, or fails the build with its error message.
fn run(command: &mut Command) -> String {
    match command.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into(),
        Ok(output) => fail(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => fail(&format!(
            "{}: {error}; {NEEDED}",
            command.get_program().to_string_lossy()
        )),
    }
}

const NEEDED: &str = "the loader needs a C compiler, as and ld of GNU for x86-64 \
                      (on Debian: apt install gcc, or gcc-x86-64-linux-gnu)";

/// Fails the build with a message.
fn fail(message: &str) -> ! {
    for line in message.lines() {
        println!("cargo::error={line}");
    }
    std::process::exit(1);
}
