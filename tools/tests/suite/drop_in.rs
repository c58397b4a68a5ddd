//! Kernels of the `bootloader` crate 0.9, with each feature, each pair of features
//! and each key of the manifest: what a kernel finds is what it finds under that
//! crate's own loader.
//!
//! `tests/drop_in/expected` holds what it found there: 0.9.35, built with `bootimage`.
//! `SISO_PEERS=1` asks that loader again, and `SISO_PEERS=record` writes the files
//! anew; both need `bootimage` and the component `llvm-tools-preview`.

use crate::common::looping::full;
use crate::common::{Disk, EXIT, Folder, LONG, PASSED, kernel, passes_with, row, top};
use siso_image::manifest::Manifest;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

/// Features, and keys of `[package.metadata.bootloader]`.
type Case = (&'static [&'static str], &'static [&'static str]);

const ALL: [&str; 4] = [
    "map_physical_memory",
    "recursive_page_table",
    "sse",
    "vga_320x200",
];

/// Keys, each with the features that it needs.
const KEYS: [Case; 5] = [
    (&["map_physical_memory"], &["kernel-stack-size = 16"]),
    (
        &["map_physical_memory"],
        &["kernel-stack-address = \"0xFFFFFF8000000000\""],
    ),
    (
        &["map_physical_memory"],
        &["boot-info-address = \"0x30000001000\""],
    ),
    (
        &["map_physical_memory"],
        &["physical-memory-offset = \"0xFFFF800000000000\""],
    ),
    (
        &["map_physical_memory", "recursive_page_table", "sse"],
        &[
            "kernel-stack-size = 3",
            "kernel-stack-address = \"0xFFFFFF8000000000\"",
            "boot-info-address = \"0x30000001000\"",
            "physical-memory-offset = \"0xFFFF800000000000\"",
        ],
    ),
];

/// QEMU's CPU: for one of AMD's, QEMU reports memory of the HyperTransport at 1 TiB,
/// and the crate maps all that lies below.
const CPU: [&str; 2] = ["-cpu", "qemu64,vendor=GenuineIntel"];

/// The builds share a target folder, which Cargo would lock anyway.
static BUILD: Mutex<()> = Mutex::new(());

/// A package of its own for the kernel, with these features and keys.
fn package(folder: &Path, features: &[&str], keys: &[&str]) -> PathBuf {
    let source = top().join("tests/drop_in");
    let manifest = fs::read_to_string(source.join("Cargo.toml")).expect("it can be read");
    let support = top().join("tests/kernels/support");
    let main = source.join("src/main.rs");
    let text = manifest
        .replace(
            "default = [\"map_physical_memory\"]",
            &format!("default = {features:?}"),
        )
        .replace("\"../kernels/support\"", &format!("{support:?}"))
        + &format!("\n[[bin]]\nname = \"drop_in\"\npath = {main:?}\n")
        + &format!("\n[package.metadata.bootloader]\n{}\n", keys.join("\n"));
    let settings = format!(
        "[build]\ntarget = {:?}\n[unstable]\nbuild-std = [\"core\", \"compiler_builtins\"]\n\
         build-std-features = [\"compiler-builtins-mem\"]\njson-target-spec = true\n",
        top().join("x86_64-siso_os.json")
    );
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).expect("a file can be written");
    };
    fs::create_dir_all(folder.join(".cargo")).expect("a folder can be made");
    write("Cargo.toml", &text);
    write(".cargo/config.toml", &settings);
    for (from, to) in [
        (source.join("Cargo.lock"), "Cargo.lock"),
        (top().join("rust-toolchain"), "rust-toolchain"),
    ] {
        fs::copy(from, folder.join(to)).expect("a file can be copied");
    }
    folder.join("Cargo.toml")
}

/// Cargo in the package's folder, with a target folder in this project's.
fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", top().join("target/drop_in"))
        .env_remove("RUSTUP_TOOLCHAIN") // set by the Cargo that runs this test,
        .env_remove("CARGO_MANIFEST_DIR"); // and this, in which bootimage would look
    cargo
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Boots the image; returns what the kernel says, without the loader's lines.
fn report(name: &str, image: &Path) -> String {
    let disk = Disk::new(&fs::read(image).expect("it was made"));
    let mut machine = disk.boot(&[EXIT, CPU].concat());
    let status = machine.wait_for_end(LONG).expect("QEMU can be waited for");
    let serial = machine.serial().replace('\r', "");
    assert_eq!(status, Some(PASSED), "{name}: {serial}");
    let start = serial
        .find("video memory")
        .expect("the kernel's first line");
    serial[start..].into()
}

fn name(features: &[&str], keys: &[&str]) -> String {
    let keys = keys.iter().filter_map(|key| key.split(' ').next());
    let all: Vec<&str> = features.iter().copied().chain(keys).collect();
    match all[..] {
        [] => "no features".into(),
        _ => all.join(", "),
    }
}

/// One case: builds the kernel, boots it, compares what it reports.
fn same_as_under_the_crate(features: &[&str], keys: &[&str]) {
    let name = name(features, keys);
    let folder = Folder::new();
    let manifest = package(&folder.0, features, keys);
    let built = top().join("target/drop_in/x86_64-siso_os/release");
    let expected = top().join("tests/drop_in/expected");
    let expected = expected.join(name.replace(' ', "_").replace(",_", "+"));
    let peer = env::var("SISO_PEERS").unwrap_or_default();

    let lock = BUILD.lock().unwrap_or_else(PoisonError::into_inner);
    run(cargo(&folder.0).args(["build", "--release", "--locked"]));
    let builder = env!("CARGO_BIN_EXE_siso-image");
    let image = folder.0.join("ours.img");
    run(Command::new(builder)
        .arg("build")
        .arg(built.join("drop_in"))
        .arg("-o")
        .arg(&image)
        .arg("--manifest")
        .arg(&manifest));
    if !peer.is_empty() {
        run(cargo(&folder.0).args(["bootimage", "--release"]));
        let mut image = fs::read(built.join("bootimage-drop_in.bin")).expect("it was made");
        // QEMU rounds disks down to whole cylinders, and this loader reads to the end.
        image.resize(image.len().next_multiple_of(1 << 20), 0);
        fs::write(folder.0.join("peer.img"), image).expect("a file can be written");
    }
    drop(lock);

    if !peer.is_empty() {
        let said = report(
            &format!("bootloader 0.9.35, {name}"),
            &folder.0.join("peer.img"),
        );
        if peer == "record" {
            fs::write(&expected, &said).expect("a file can be written");
        }
        let recorded = fs::read_to_string(&expected).expect("it was recorded");
        assert_eq!(said, recorded, "bootloader 0.9.35, {name}");
    }
    let recorded = fs::read_to_string(&expected).expect("it was recorded");
    assert_eq!(report(&name, &image), recorded, "{name}");
    let emulator = if peer.is_empty() {
        "QEMU"
    } else {
        "QEMU, both loaders"
    };
    row(&name, "as under bootloader 0.9.35", "the same", emulator);
}

/// Every set of features and every key, or a sample that has each of them.
#[test]
fn every_feature_and_key() {
    let sets: Vec<usize> = match full() {
        true => (0..1 << ALL.len()).collect(),
        false => vec![0b0000, 0b0011, 0b1100],
    };
    for set in sets {
        let features = (0..ALL.len()).filter(|n| set >> n & 1 != 0).map(|n| ALL[n]);
        same_as_under_the_crate(&features.collect::<Vec<_>>(), &[]);
    }
    let keys = match full() {
        true => &KEYS[..],
        false => &KEYS[4..], // all of them
    };
    for (features, keys) in keys {
        same_as_under_the_crate(features, keys);
    }
}

/// The options on the command line, without a manifest.
#[test]
fn without_a_manifest() {
    let folder = Folder::new();
    let image = folder.0.join("image");
    let build = |kernel_name: &str, arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_siso-image"))
            .arg("build")
            .arg(kernel(kernel_name))
            .arg("-o")
            .arg(&image)
            .args(arguments)
            .output()
            .expect("the image builder starts");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let refused = |arguments: &[&str], sentence: &str| {
        let (built, said) = build("seed", arguments);
        assert!(!built && said.contains(sentence), "{said}");
    };
    refused(
        &["--bootloader-features", "sse,uefi"],
        "the bootloader crate 0.9 has no feature 'uefi', only \
         map_physical_memory, recursive_page_table, sse, vga_320x200",
    );
    refused(
        &["--bootloader-features", "", "--command-line", "x"],
        "a command line or a ramdisk needs the feature map_physical_memory of the bootloader \
         crate: it is where the kernel finds them",
    );

    // That crate's loader maps writable code without a word.
    let (built, said) = build("writable_code", &[]);
    assert!(
        !built && said.contains("is writable and executable"),
        "{said}"
    );
    for name in ["writable_code", "bootloader09", "tls"] {
        let (built, said) = build(name, &["--bootloader-features", "map_physical_memory"]);
        assert!(built, "{said}");
        let disk = Disk::new(&fs::read(&image).expect("it was made"));
        passes_with(name, &disk, &[]);
    }
}

/// What is unknown is refused before anything boots, with a sentence.
#[test]
fn what_is_unknown() {
    let refused = |manifest: &Path, sentence: &str| {
        let error = Manifest::read(manifest).expect_err("it is refused");
        assert!(error.ends_with(sentence), "{error}");
    };
    let folder = Folder::new();
    let offset = ["physical-memory-offset = \"0xFFFF800000000000\""];
    refused(
        &package(&folder.0, &["sse"], &offset),
        "[package.metadata.bootloader] physical-memory-offset: needs the feature \
         map_physical_memory of the bootloader crate",
    );
    refused(
        &package(&folder.0, &[], &["kernel-heap-size = 16"]),
        "[package.metadata.bootloader] kernel-heap-size: unknown key",
    );

    // Other versions of the crate, as far as Cargo sees them.
    let versions = [
        (
            "bootloader",
            "0.11.9",
            "depends on bootloader 0.11.9, whose boot protocol this loader does not have; of \
             that crate, it replaces bootloader 0.9",
        ),
        (
            "bootloader_api",
            "0.11.9",
            "depends on bootloader_api 0.11.9, whose boot protocol this loader does not have; \
             of that crate, it replaces bootloader 0.9",
        ),
        (
            "bootloader",
            "0.9.99",
            "bootloader 0.9.99: the bootloader crate 0.9 has no feature 'uefi', only \
             map_physical_memory, recursive_page_table, sse, vga_320x200",
        ),
    ];
    for (name, version, sentence) in versions {
        let folder = Folder::new();
        let write = |path: &str, name: &str, version: &str, more: &str| {
            let path = folder.0.join(path);
            fs::create_dir_all(path.join("src")).expect("a folder can be made");
            let text = format!(
                "[package]\nname = {name:?}\nversion = {version:?}\nedition = \"2024\"\n{more}"
            );
            fs::write(path.join("Cargo.toml"), text).expect("a file can be written");
            fs::write(path.join("src/lib.rs"), "").expect("a file can be written");
        };
        write(
            "crate",
            name,
            version,
            "[features]\ndefault = [\"uefi\"]\nuefi = []\n",
        );
        let depends = format!("[dependencies]\n{name} = {{ path = \"../crate\" }}\n");
        write("kernel", "kernel", "0.1.0", &depends);
        refused(&folder.0.join("kernel/Cargo.toml"), sentence);
    }
}
