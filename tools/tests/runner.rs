//! `siso-image test` and `run`, as Cargo calls them: what a kernel that tests
//! itself says, and how that ends.

mod common;

use common::{Folder, kernel};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn siso_image(arguments: &[&str], settings: &[(&str, &str)]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_siso-image"))
        .args(arguments)
        .env_remove("CARGO_MANIFEST_DIR") // of this test's own package
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the image builder starts");
    let said = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8_lossy(&said).into_owned())
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// A package whose `Cargo.toml` has these lines behind its name.
fn package(lines: &str) -> Folder {
    let folder = Folder::new();
    let manifest = format!("[package]\nname = \"os\"\nedition = \"2024\"\n{lines}\n");
    fs::write(folder.0.join("Cargo.toml"), manifest).expect("a file can be written");
    fs::create_dir(folder.0.join("src")).expect("a folder can be made");
    fs::write(folder.0.join("src/main.rs"), "").expect("a file can be written");
    folder
}

/// Nothing but the kernel's own words, and success.
#[test]
fn a_kernel_that_passes() {
    let (output, said) = siso_image(&["test", path(&kernel("tls"))], &[]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "tls ok\n");
}

/// Cargo's name for it makes `run` treat it as a test.
#[test]
fn a_kernel_named_by_cargo() {
    let folder = Folder::new();
    let file = folder.0.join("tls-0123456789abcdef");
    fs::copy(kernel("tls"), &file).expect("a file can be copied");
    let (output, said) = siso_image(&["run", path(&file), "--quiet"], &[]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "tls ok\n");
}

#[test]
fn a_kernel_that_resets_the_machine() {
    let (output, said) = siso_image(&["test", path(&kernel("triple_fault"))], &[]);
    assert!(!output.status.success(), "{said}");
    assert!(said.starts_with("about to fault\n"), "{said}");
    assert!(said.contains("the machine was reset"), "{said}");
}

#[test]
fn a_kernel_that_hangs() {
    let limit = [("TIMEOUT", "3")];
    let (output, said) = siso_image(&["test", path(&kernel("restless"))], &limit);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("not done after 3 seconds"), "{said}");
}

/// Where no kernel starts, the loader's words are shown.
#[test]
fn a_machine_that_cannot_boot() {
    let settings = [("TIMEOUT", "15"), ("QEMU_FLAGS", "-cpu qemu32")];
    let (output, said) = siso_image(&["test", path(&kernel("tls"))], &settings);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("E4 this CPU has no 64-bit mode"), "{said}");
}

/// What `[package.metadata.bootimage]` says of tests is done.
#[test]
fn the_manifests_test_keys() {
    let keys = "[package.metadata.bootimage]\n\
                test-args = [\"-device\", \"isa-debug-exit,iobase=0xf4,iosize=0x04\", \
                \"-display\", \"none\", \"-serial\", \"stdio\", \"-name\", \"a b\"]\n\
                test-success-exit-code = 35";
    let folder = package(keys);
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let (output, said) = siso_image(&["test", path(&kernel("tls"))], &settings);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("tls ok"), "{said}");
    assert!(
        said.contains("exit status is 33, that of success 35"),
        "{said}"
    );

    let folder = package("[package.metadata.bootimage]\ntest-timeout = 3");
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let (output, said) = siso_image(&["test", path(&kernel("restless"))], &settings);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("not done after 3 seconds"), "{said}");
}

/// What it says of running, too, even where it takes the terminal: then what
/// is said there comes to it.
#[test]
fn the_manifests_run_keys() {
    let keys = "[package.metadata.bootimage]\n\
                run-args = [\"-device\", \"no-such-thing\"]";
    let folder = package(keys);
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let kernel = kernel("release/siso_os");
    let (output, said) = siso_image(&["run", path(&kernel)], &settings);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("no-such-thing"), "{said}");

    let keys = "[package.metadata.bootimage]\n\
                run-args = [\"-serial\", \"mon:stdio\", \"-m\", \"24M\"]";
    let folder = package(keys);
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let (output, said) = siso_image(&["run", path(&kernel)], &settings);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("memory 23 MiB"), "{said}");
}

/// A hostile or broken manifest is one sentence.
#[test]
fn a_manifest_that_makes_no_sense() {
    let folder = package("[package.metadata.bootimage]\ntest-timeout = \"soon\"");
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let (output, said) = siso_image(&["test", path(&kernel("tls"))], &settings);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("test-timeout: wants a number of seconds"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}
