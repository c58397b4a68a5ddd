//! The tests of the loader, one at a time, in a copy of the test program that has a
//! mutant in it.

use crate::boots::{self, Recorded};
use crate::lock;
use bench::points::Point;
use bench::tools;
use siso_image::{LOADER, qemu};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The modules with tests that boot the loader in QEMU. (Those that take longest,
/// with damaged disks, reach nothing that the others do not.)
const MODULES: [&str; 14] = [
    "boot::",
    "consoles::",
    "drop_in::every_",
    "elf_fuzz::stage_2",
    "firmware::",
    "flips::the_",
    "forced::",
    "header::",
    "kernels::",
    "machines::",
    "media::",
    "memory_maps::",
    "modules::",
    "paging::",
];

/// The time limit of a test without a mutant.
pub const LONG: Duration = Duration::from_secs(900);

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    Failed,
    TimedOut,
}

/// Tests that start the image builder as a program, which has no mutant in it. The
/// report of their kernel is compared when their boots are repeated.
const WITH_BUILDER: &str = "drop_in::";

/// A test of the suite.
pub struct Test {
    pub name: String,
    /// How long it takes without a mutant.
    pub time: Duration,
    pub recorded: Recorded,
}

impl Test {
    /// Whether the test program alone decides what boots.
    pub fn can_have_mutant(&self) -> bool {
        !self.name.starts_with(WITH_BUILDER)
    }
}

/// The test program, in which the loader's bytes can be changed.
pub struct Suite {
    /// The folder from which Cargo would start it.
    folder: PathBuf,
    program: Vec<u8>,
    /// A sum of the program: a recording is good as long as it stays the same.
    sum: u32,
    /// Where in the program the loader's bytes are.
    loaders: Vec<usize>,
    /// Held while a copy of it is written, and while a process is started: that would
    /// have the file open for a moment, and a file open for writing does not run.
    starting: Mutex<()>,
}

impl Suite {
    /// Builds the test program.
    pub fn build(top: &Path) -> Result<Self, String> {
        let said = tools::run(Command::new(top.join("tools/host-cargo")).args([
            "test",
            "--test",
            "suite",
            "--no-run",
            "--message-format=json",
        ]))?;
        let line = said
            .lines()
            .find(|line| line.contains("\"kind\":[\"test\"]"));
        let program = line.and_then(|line| line.split("\"executable\":\"").nth(1));
        let program = program.and_then(|rest| rest.split('"').next());
        let program = tools::read(Path::new(program.ok_or("cargo names no test program")?))?;
        let found = program
            .windows(LOADER.len())
            .enumerate()
            .filter(|(_, bytes)| *bytes == LOADER);
        let loaders: Vec<usize> = found.map(|(at, _)| at).collect();
        if loaders.is_empty() {
            return Err("the loader is not in the test program".into());
        }
        Ok(Suite {
            folder: top.join("tools"),
            sum: crc32fast::hash(&program),
            program,
            loaders,
            starting: Mutex::new(()),
        })
    }

    /// A sum of the program.
    pub fn sum(&self) -> u32 {
        self.sum
    }

    /// Writes the test program, with other bytes at an offset of the loader.
    pub fn write(&self, to: &Path, offset: usize, bytes: &[u8]) -> Result<(), String> {
        let mut program = self.program.clone();
        for start in &self.loaders {
            program[start + offset..][..bytes.len()].copy_from_slice(bytes);
        }
        let _starting = lock(&self.starting);
        tools::write(to, &program)?;
        tools::run(Command::new("chmod").arg("+x").arg(to)).map(drop)
    }

    /// The names of the tests.
    pub fn names(&self, program: &Path) -> Result<Vec<String>, String> {
        let list = tools::run(Command::new(program).arg("--list"))?;
        let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
        let ours = names.filter(|name| {
            MODULES.iter().any(|module| name.starts_with(module))
                && !name.contains("bochs")
                && !name.contains("kvm")
        });
        Ok(ours.map(String::from).collect())
    }

    /// Runs a test once and records what it starts, unless that was done before.
    pub fn record(
        &self,
        name: &str,
        program: &Path,
        points: &[Point],
        folder: &Path,
    ) -> Result<Test, String> {
        let test = folder.join(name);
        let done = test.join("milliseconds");
        if !done.exists() {
            let _ = fs::remove_dir_all(&test);
            let failed = |error| format!("{}: {error}", test.display());
            fs::create_dir_all(&test).map_err(failed)?;
            eprintln!("mutants: recording {name}");
            let start = Instant::now();
            if self.run(name, program, LONG, Some(folder))? != Outcome::Passed {
                return Err(format!("{name} fails without a mutant"));
            }
            let time = start.elapsed().as_millis().to_string();
            tools::write(&done, time.as_bytes())?;
        }
        let time = String::from_utf8_lossy(&tools::read(&done)?).parse();
        Ok(Test {
            name: name.into(),
            time: Duration::from_millis(time.map_err(|error| format!("{name}: {error}"))?),
            recorded: boots::read(name, &test, points)?,
        })
    }

    /// Runs a test, for this time at most. With a folder, what it starts is recorded
    /// there.
    pub fn run(
        &self,
        name: &str,
        program: &Path,
        limit: Duration,
        record: Option<&Path>,
    ) -> Result<Outcome, String> {
        let mut command = Command::new("timeout");
        command
            .args(["-k", "5"])
            .arg(limit.as_secs().to_string())
            .arg(program)
            .args([name, "--exact", "--include-ignored"])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(folder) = record {
            command
                .env("SISO_MUTANTS", folder.join(name))
                .env("SISO_QEMU", qemu::program())
                .env("QEMU", folder.join("qemu"));
        }
        let failed = |error| format!("timeout: {error}");
        let starting = lock(&self.starting);
        let child = command.spawn();
        drop(starting);
        let status = child.map_err(failed)?.wait().map_err(failed)?;
        // `timeout` says so by 124, or by 137 after SIGKILL; 125 to 127 are its own.
        match status.code() {
            Some(0) => Ok(Outcome::Passed),
            Some(124 | 137) => Ok(Outcome::TimedOut),
            Some(125..=127) => Err(format!("{name} cannot be started")),
            _ => Ok(Outcome::Failed),
        }
    }
}
