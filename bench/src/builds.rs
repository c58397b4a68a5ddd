//! Build times: `make image` in a copy of the tree, clean and after an edit.

use crate::text::{median, ratio, spread, table};
use crate::tools;
use siso_image::qemu::{self, Machine, not_started};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs};

/// Folders that are not copied, because an image does not need them.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// An edit of a file, and the build times after it.
struct Edit {
    file: &'static str,
    /// `cargo build` of the kernel alone.
    bare: Vec<f64>,
    /// `make image`.
    image: Vec<f64>,
}

impl Edit {
    fn of(file: &'static str) -> Edit {
        Edit {
            file,
            bare: Vec::new(),
            image: Vec::new(),
        }
    }
}

/// How long the greeting may take.
const HELLO_LIMIT: Duration = Duration::from_secs(120);

/// A copy of the tree, and the build times in it.
pub struct Builds {
    tree: PathBuf,
    clean: Vec<f64>,
    unchanged: Vec<f64>,
    edits: [Edit; 2],
    hello: Vec<f64>,
    peer: Vec<f64>,
    /// How many times the first clean build compiled `core`.
    pub cores: usize,
    /// How many crates it compiled.
    units: usize,
}

impl Builds {
    /// Copies the tree, and builds the image once to count the crates.
    pub fn new(top: &Path, folder: &Path) -> Result<Self, String> {
        let tree = folder.join("tree");
        copy(top, &tree, &LEFT_OUT)?;
        let log = folder.join("crates");
        let wrapper = folder.join("rustc-logged");
        // Cargo calls the wrapper with the compiler and its arguments.
        let script = format!(
            "#!/bin/sh\necho \"$*\" >> '{}'\nexec \"$@\"\n",
            log.display()
        );
        tools::write(&wrapper, script.as_bytes())?;
        tools::run(Command::new("chmod").arg("+x").arg(&wrapper))?;
        eprintln!("builds: counting crates");
        tools::run(make_image(&tree).env("RUSTC_WRAPPER", &wrapper))?;
        let log = tools::read(&log)?;
        let log = String::from_utf8_lossy(&log);
        let crates: Vec<&str> = log
            .lines()
            .filter_map(|line| line.split("--crate-name ").nth(1)?.split(' ').next())
            .filter(|name| *name != "___") // Cargo queries the target
            .collect();
        Ok(Builds {
            tree,
            clean: Vec::new(),
            unchanged: Vec::new(),
            edits: [Edit::of("src/main.rs"), Edit::of("boot/a20.s")],
            hello: Vec::new(),
            peer: Vec::new(),
            cores: crates.iter().filter(|name| **name == "core").count(),
            units: crates.len(),
        })
    }

    /// Measures clean builds, builds after an edit, and the builds of `peer`.
    pub fn run(
        &mut self,
        runs: usize,
        mut peer: impl FnMut() -> Result<Option<f64>, String>,
    ) -> Result<(), String> {
        for run in 1..=runs {
            eprintln!("builds: run {run} of {runs}");
            let target = self.tree.join("target");
            fs::remove_dir_all(&target).map_err(|error| error.to_string())?;
            self.clean.push(seconds(&mut make_image(&self.tree))?);
            self.unchanged.push(seconds(&mut make_image(&self.tree))?);
            for edit in &mut self.edits {
                let file = self.tree.join(edit.file);
                touch(&file)?;
                edit.bare.push(seconds(&mut cargo_build(&self.tree))?);
                touch(&file)?;
                edit.image.push(seconds(&mut make_image(&self.tree))?);
            }
            self.hello.push(self.edit_to_hello()?);
            self.peer.extend(peer()?);
        }
        Ok(())
    }

    /// From an edit of the kernel to its greeting on the serial line.
    fn edit_to_hello(&self) -> Result<f64, String> {
        touch(&self.tree.join("src/main.rs"))?;
        let start = Instant::now();
        tools::run(&mut make_image(&self.tree))?;
        let disk = qemu::disk(&self.tree.join("target/siso_os.img"));
        let mut machine =
            Machine::start(&disk).map_err(|error| not_started(&qemu::program(), &error))?;
        match machine.wait_for_serial(HELLO_LIMIT, |serial| serial.contains("Hello World!")) {
            true => Ok(start.elapsed().as_secs_f64()),
            false => Err(format!("no greeting: {}", machine.serial())),
        }
    }

    /// A table of the build times, and how they compare.
    pub fn table(&self) -> String {
        let mut rows = vec![
            row("`make image`, clean", &self.clean),
            row("`make image`, nothing changed", &self.unchanged),
        ];
        let mut text = String::new();
        for Edit { file, bare, image } in &self.edits {
            rows.push(row(
                &format!("`cargo build` after an edit of `{file}`"),
                bare,
            ));
            rows.push(row(
                &format!("`make image` after an edit of `{file}`"),
                image,
            ));
            text += &compared(
                &format!("After an edit of `{file}`, `make image`"),
                image,
                "`cargo build` of the kernel",
                bare,
            );
        }
        rows.push(row(
            "an edit to `Hello World!` on the serial line",
            &self.hello,
        ));
        if !self.peer.is_empty() {
            rows.push(row("`cargo bootimage`, clean", &self.peer));
            text += &compared(
                "A clean `make image`",
                &self.clean,
                "a clean `cargo bootimage`",
                &self.peer,
            );
        }
        format!(
            "{}\n{text}A clean `make image` compiles {} crates, `core` {}.\n",
            table(&["build", "seconds", "spread"], &rows),
            self.units,
            match self.cores {
                1 => "once".into(),
                times => format!("{times} times"),
            }
        )
    }
}

/// A sentence: the ratio of two builds that were measured in turn.
fn compared(one: &str, ours: &[f64], other: &str, theirs: &[f64]) -> String {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    format!(
        "{one} takes {} of the time of {other} (spread {:.0} %).\n",
        ratio(median(ratios.iter().copied()), 1.0),
        spread(ratios.iter().copied())
    )
}

fn row(what: &str, seconds: &[f64]) -> Vec<String> {
    vec![
        what.into(),
        format!("{:.2}", median(seconds.iter().copied())),
        format!("{:.0} %", spread(seconds.iter().copied())),
    ]
}

/// `make image` as a user calls it, independent of the calling `make`.
fn make_image(tree: &Path) -> Command {
    let mut make = Command::new("make");
    make.arg("image").current_dir(tree);
    clear(&mut make);
    make
}

/// The kernel's build alone, as `make image` does it.
fn cargo_build(tree: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "-Z", "unstable-options"])
        .args(["--artifact-dir", "target/kernel"])
        .current_dir(tree)
        .env_remove("RUSTUP_TOOLCHAIN"); // set by the Cargo that runs the bench
    clear(&mut cargo);
    cargo
}

/// Removes the environment variables that the calling `make` and Cargo set.
pub fn clear(command: &mut Command) {
    let ours =
        |name: &str| name.starts_with("MAKE") || name == "MFLAGS" || name.ends_with("RUSTFLAGS");
    for (name, _) in env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.env_remove("CARGO_TARGET_DIR");
}

/// Runs a command and returns the time it takes in seconds.
pub fn seconds(command: &mut Command) -> Result<f64, String> {
    let start = Instant::now();
    tools::run(command)?;
    Ok(start.elapsed().as_secs_f64())
}

fn touch(file: &Path) -> Result<(), String> {
    let opened = fs::File::options().append(true).open(file);
    opened
        .and_then(|opened| opened.set_modified(SystemTime::now()))
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn copy(from: &Path, to: &Path, left_out: &[&str]) -> Result<(), String> {
    let about = |error| format!("{}: {error}", from.display());
    fs::create_dir_all(to).map_err(about)?;
    for entry in fs::read_dir(from).map_err(about)? {
        let path = entry.map_err(about)?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        if left_out.iter().any(|left_out| name == *left_out) {
            continue;
        }
        if path.is_symlink() {
            let target = fs::read_link(&path).map_err(about)?;
            symlink(target, to.join(name)).map_err(about)?;
        } else if path.is_dir() {
            copy(&path, &to.join(name), &["target"])?;
        } else {
            fs::copy(&path, to.join(name)).map_err(about)?;
        }
    }
    Ok(())
}
