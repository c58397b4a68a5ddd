//! Kernels outside of this tree, built and run with Cargo; of this project, they
//! use only the image builder.

use crate::common::{Folder, SISO_IMAGE, image_by, kernel, path, top};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Runs Cargo in a folder, with the image builder in PATH and a target folder in
/// this project's.
pub fn cargo(folder: &Path, target: &str, arguments: &[&str]) -> (Output, String) {
    let builder = Path::new(env!("CARGO_BIN_EXE_siso-image"));
    let builder = builder.parent().expect("it is in a folder");
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = [builder.to_owned()]
        .into_iter()
        .chain(env::split_paths(&path));
    let output = Command::new("cargo")
        .args(arguments)
        .current_dir(folder)
        .env(
            "PATH",
            env::join_paths(paths).expect("no folder name contains a colon"),
        )
        .env("CARGO_TARGET_DIR", top().join("target").join(target))
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("TIMEOUT")
        .env_remove("QEMU_FLAGS")
        .env_remove("RUSTUP_TOOLCHAIN") // set by the Cargo that runs this test
        .stdin(Stdio::null())
        .output()
        .expect("Cargo starts");
    let said = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8_lossy(&said).into_owned())
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(&from, &to).expect("a file can be copied")),
        }
    }
}

/// A kernel of several modules for the `bootloader` crate 0.9, with interrupts,
/// its own mappings and a heap: only its runner differs.
#[test]
fn kernel_of_the_series() {
    let folder = Folder::new();
    copy(&top().join("tests/series"), &folder.0);
    let (output, said) = cargo(&folder.0, "series", &["run", "--locked"]);
    assert!(output.status.success(), "{said}");
    for line in ["timer: ", "keyboard: scancode 0x1e", "page 0: mapped"] {
        assert!(said.contains(line), "'{line}' is not in: {said}");
    }
    assert!(said.contains("It did not crash!"), "{said}");

    let (output, said) = cargo(&folder.0, "series", &["test", "--locked"]);
    assert!(output.status.success(), "{said}");
    let passed = said.lines().filter(|line| line.ends_with("[ok]")).count();
    assert!(passed >= 24, "{passed} tests passed: {said}");
    for file in [
        "basic_boot",
        "heap_allocation",
        "memory",
        "metadata",
        "should_panic",
        "stack_overflow",
    ] {
        assert!(said.contains(&format!("tests/{file}.rs")), "{file}: {said}");
    }
}

/// Packages the crate in this folder as for crates.io; returns the folder with the
/// package's files.
fn package(crate_folder: &str, folder: &Path) -> PathBuf {
    let path = top().join(crate_folder);
    let manifest = path.join("Cargo.toml");
    let arguments = ["package", "--allow-dirty", "--no-verify", "--quiet"];
    let arguments = [
        &arguments[..],
        &["--manifest-path", manifest.to_str().expect("it is UTF-8")],
    ]
    .concat();
    let (output, said) = cargo(folder, "package", &arguments);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("warning"), "{said}");
    let packages = top().join("target/package/package");
    let name = fs::read_to_string(&manifest).expect("the manifest can be read");
    let name = name.split('"').nth(1).expect("it begins with the name");
    let file = packages.join(format!("{name}-0.1.0.crate"));
    // The files are new: with the times in the package, which are all the same, Cargo
    // would take an earlier build for this one.
    let unpacked = Command::new("tar")
        .arg("-xzmf")
        .arg(&file)
        .arg("-C")
        .arg(folder)
        .status();
    assert!(unpacked.is_ok_and(|status| status.success()), "{name}");
    folder.join(format!("{name}-0.1.0"))
}

/// `siso-image`, installed from its package into an empty folder, with nothing of this
/// tree nearby, makes the same image of a kernel as this tree's. It creates a kernel that
/// boots and passes its own tests; a failing test in it is reported.
#[test]
fn new_kernel() {
    let folder = Folder::new();
    let package = package("tools", &folder.0);
    let arguments = [
        &["install", "--locked", "--quiet", "--debug"][..],
        // The quickest build that works.
        &[
            "--config",
            "profile.dev.opt-level=0",
            "--config",
            "profile.dev.debug=false",
        ],
        &["--path", path(&package), "--root", path(&folder.0)],
    ]
    .concat();
    let (output, said) = cargo(&folder.0, "installed", &arguments);
    assert!(output.status.success(), "{said}");

    let program = folder.0.join("bin/siso-image");
    let release = kernel("release/siso_os");
    let ours = image_by(Path::new(SISO_IMAGE), &release);
    assert!(image_by(&program, &release) == ours, "the images differ");

    let kernel = folder.0.join("my-kernel");
    let new = || Command::new(&program).arg("new").arg(&kernel).output();
    let output = new().expect("the image builder starts");
    assert!(output.status.success(), "{output:?}");
    let again = new().expect("the image builder starts");
    assert!(!again.status.success());
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(
        said.contains("my-kernel: already exists and is not empty"),
        "{said}"
    );

    let (output, said) = cargo(&kernel, "new", &["run"]);
    assert!(
        output.status.success() && !said.contains("warning"),
        "{said}"
    );
    assert!(said.contains("|Hello World!  "), "{said}");
    let (output, said) = cargo(&kernel, "new", &["test"]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("test result: ok. ").count(), 4, "{said}");
    // Words select tests, as in other packages.
    let (output, said) = cargo(&kernel, "new", &["test", "--test", "basic", "printing"]);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("1 passed; 0 failed; 4 filtered out"),
        "{said}"
    );
    let (output, said) = cargo(&kernel, "new", &["fmt", "--check"]);
    assert!(output.status.success(), "{said}");

    let test = kernel.join("tests/basic.rs");
    let good = fs::read_to_string(&test).expect("it can be read");
    let failing =
        "#[test_case]\nfn regions_are_few() {\n    assert!(boot_info().regions().len() < 2);\n}\n";
    fs::write(&test, good + failing).expect("it can be written");
    let (output, said) = cargo(&kernel, "new", &["test", "--test", "basic", "regions"]);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("test regions_are_few ... FAILED"), "{said}");
    assert!(
        said.contains("assertion failed: boot_info().regions().len() < 2"),
        "{said}"
    );
    assert!(
        said.contains("test result: FAILED. 0 passed; 1 failed; 1 not run"),
        "{said}"
    );
}

/// Folder names that are not valid names for a kernel.
#[test]
fn invalid_kernel_names() {
    let folder = Folder::new();
    for name in ["1st", "my kernel", "kernel!", "core", "fn"] {
        let output = Command::new(env!("CARGO_BIN_EXE_siso-image"))
            .arg("new")
            .arg(folder.0.join(name))
            .output()
            .expect("the image builder starts");
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("not a valid name for a kernel"), "{said}");
        assert!(!folder.0.join(name).exists());
    }
}

/// The boot info's crate compiles from its package.
#[test]
fn boot_info_package() {
    let folder = Folder::new();
    let package = package("tools/boot-info", &folder.0);
    let (output, said) = cargo(&package, "installed", &["check", "--quiet"]);
    assert!(output.status.success(), "{said}");
}

/// Without a compiler that can assemble the loader, the package says what it needs.
#[test]
fn no_compiler() {
    let folder = Folder::new();
    let package = package("tools", &folder.0);
    let output = Command::new("cargo")
        .args(["check", "--locked", "--target-dir"])
        .arg(top().join("target/installed"))
        .current_dir(&package)
        .env("CC_x86_64_unknown_linux_gnu", "no-such-compiler")
        .env_remove("RUSTUP_TOOLCHAIN") // set by the Cargo that runs this test
        .output()
        .expect("Cargo starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    let sentence = "the loader needs a C compiler, as and ld of GNU for x86-64";
    assert!(said.contains(sentence), "{said}");
}
