//! The image does not depend on the folder or the user of the build.

use crate::common::{Folder, SISO_IMAGE, image_by, kernel, top};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().into()
}

/// Copies a folder. Files may be hard links, because nothing changes them.
fn copy(from: &Path, to: &Path) {
    let copy = |how: &str| Command::new("cp").arg(how).arg(from).arg(to).output();
    if !copy("-al").is_ok_and(|output| output.status.success()) {
        let _ = fs::remove_dir_all(to); // what the first attempt left
        run(Command::new("cp").arg("-a").arg(from).arg(to));
    }
}

/// Builds the kernel in both profiles in a copy of the project, with a separate home
/// folder, toolchain and registry; returns their images.
fn build(home: &Path, user: &str) -> [Vec<u8>; 2] {
    let project = home.join("some/where/siso_os");
    fs::create_dir_all(&project).expect("a folder can be made");
    for entry in fs::read_dir(top()).expect("the project can be read") {
        let path = entry.expect("it has a name").path();
        let name = path.file_name().expect("it has a name").to_owned();
        if name != "target" && name != ".git" {
            run(Command::new("cp")
                .arg("-R")
                .arg(&path)
                .arg(project.join(name)));
        }
    }
    let _ = fs::remove_dir_all(project.join("tests/kernels/target")); // usually absent

    let sysroot = PathBuf::from(run(Command::new("rustc")
        .arg("--print=sysroot")
        .current_dir(top())));
    let (rustup, cargo) = (home.join("rustup"), home.join("cargo"));
    fs::create_dir_all(rustup.join("toolchains")).expect("a folder can be made");
    fs::create_dir_all(&cargo).expect("a folder can be made");
    copy(
        &sysroot,
        &rustup
            .join("toolchains")
            .join(sysroot.file_name().expect("it has a name")),
    );
    let ours = env::var_os("CARGO_HOME").map(PathBuf::from);
    let ours = ours.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    for name in ["registry", "config.toml"] {
        let from = ours.as_ref().expect("Cargo has a home").join(name);
        if from.exists() {
            copy(&from, &cargo.join(name));
        }
    }

    ["dev", "release"].map(|profile| {
        let mut make = Command::new("make");
        for (name, _) in env::vars_os() {
            // Variables that Cargo set for this test.
            let name_text = name.to_string_lossy();
            if ["CARGO", "RUST", "MAKE"]
                .iter()
                .any(|prefix| name_text.starts_with(prefix))
            {
                make.env_remove(&name);
            }
        }
        make.args(["kernel", &format!("PROFILE={profile}")])
            .current_dir(&project)
            .env("HOME", home)
            .env("USER", user)
            .env("RUSTUP_HOME", &rustup)
            .env("CARGO_HOME", &cargo);
        run(&mut make);
        image_of(&project.join("target/kernel/siso_os"))
    })
}

/// The image of a kernel, made by this tree's image builder.
fn image_of(kernel: &Path) -> Vec<u8> {
    image_by(Path::new(SISO_IMAGE), kernel)
}

/// Another user's clean build of the kernel, in another folder, has the same images as
/// this tree's. (So has the image builder built elsewhere: see `external_kernel`.)
#[test]
fn elsewhere_is_identical() {
    let elsewhere = Folder::new();
    let longer = elsewhere.0.join("with/a/longer/path");
    fs::create_dir_all(&longer).expect("a folder can be made");
    let one = ["dev", "release"].map(|profile| image_of(&kernel(&format!("{profile}/siso_os"))));
    let other = build(&longer, "other");
    assert!(one[0] != one[1], "dev and release have the same image");
    assert!(one == other, "the images differ");
}
