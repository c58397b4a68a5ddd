//! The boots of the suite's tests: recorded once, through the QEMU that the tests
//! start, so that each can be repeated with a mutant in a fraction of its time.

use bench::coverage::PLUGIN;
use bench::points::{self, Point};
use bench::{plugin, tools};
use siso_image::qemu;
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// Marks a disk's number in the recorded arguments.
const DISK: &str = "@disk";
/// In the argument for memory that is not all zero.
const GARBAGE: &str = "memory-backend-file";
/// What a recorded boot cannot have: KVM runs no plugins, a debugger takes part in
/// the test, and the others are not in the snapshot that a repetition starts from.
const UNSUITED: [&str; 6] = ["-enable-kvm", "-gdb", "-S", "-cdrom", "damaged", "-plugin"];

/// A boot as a test started it.
pub struct Boot {
    /// The test, and the sum of all that the boot depends on.
    pub name: String,
    pub arguments: Vec<String>,
    pub disks: Vec<PathBuf>,
    /// Exists if it cannot be repeated.
    pub unusable: PathBuf,
    /// The addresses of the instructions that it reaches.
    pub reaches: BTreeSet<u64>,
}

/// What a test starts, and what it reaches.
pub struct Recorded {
    pub boots: Vec<Boot>,
    /// Whether these boots are all that it starts.
    pub complete: bool,
    pub reaches: BTreeSet<u64>,
}

/// Writes the program that a test starts in QEMU's place; it calls this one.
pub fn wrapper(folder: &Path, points: &[Point]) -> Result<PathBuf, String> {
    plugin::compile(folder, "coverage", PLUGIN)?;
    points::write(points, &folder.join("empty"))?;
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let script = format!(
        "#!/bin/sh\nexec '{}' --record '{}' -- \"$@\"\n",
        own.display(),
        folder.display()
    );
    let wrapper = folder.join("qemu");
    tools::write(&wrapper, script.as_bytes())?;
    tools::run(Command::new("chmod").arg("+x").arg(&wrapper))?;
    Ok(wrapper)
}

/// Keeps what QEMU is started with, and becomes QEMU. The test's folder is
/// `$SISO_MUTANTS`.
pub fn record(folder: &Path, arguments: &[String]) -> Result<(), String> {
    let failed = |error: io::Error| format!("recording: {error}");
    let test = PathBuf::from(env::var("SISO_MUTANTS").map_err(|error| error.to_string())?);
    let mut qemu = Command::new(env::var("SISO_QEMU").map_err(|error| error.to_string())?);
    let is_kvm = arguments.iter().any(|argument| argument == "-enable-kvm");
    if !is_kvm && arguments.iter().any(|argument| argument == "-drive") {
        let number = (0..).find(|n| fs::create_dir(test.join(n.to_string())).is_ok());
        let boot = test.join(number.expect("there is an end").to_string());
        fs::copy(folder.join("empty"), boot.join("seen")).map_err(failed)?;
        qemu.arg("-plugin").arg(format!(
            "{},out={}",
            folder.join("coverage.so").display(),
            boot.join("seen").display()
        ));
        let unsuited = |argument: &String| UNSUITED.contains(&argument.as_str());
        if !arguments.iter().any(unsuited) {
            let mut lines = Vec::new();
            for argument in arguments {
                lines.push(match disk_of(argument) {
                    Some(path) => {
                        let n = lines.len();
                        fs::copy(path, boot.join(n.to_string())).map_err(failed)?;
                        argument.replace(path, &format!("{DISK}{n}"))
                    }
                    None => argument.clone(),
                });
            }
            tools::write(&boot.join("arguments"), lines.join("\n").as_bytes())?;
        }
    }
    Err(qemu.args(arguments).exec().to_string())
}

/// The path of a raw disk in an argument for QEMU.
fn disk_of(argument: &str) -> Option<&str> {
    let (_, path) = argument.split_once("file=")?;
    let path = path.split(',').next()?;
    Path::new(path).is_file().then_some(path)
}

/// Reads what was recorded of a test.
pub fn read(test: &str, folder: &Path, points: &[Point]) -> Result<Recorded, String> {
    let mut all = Recorded {
        boots: Vec::new(),
        complete: true,
        reaches: BTreeSet::new(),
    };
    for folder in (0..).map(|n: u32| folder.join(n.to_string())) {
        if !folder.exists() {
            break;
        }
        let mut points = points.to_vec();
        points::read(&mut points, &folder.join("seen"))?;
        let reached = points.iter().filter(|point| point.executed());
        let reaches: BTreeSet<u64> = reached.map(|point| point.address).collect();
        all.reaches.extend(&reaches);
        let Ok(lines) = fs::read_to_string(folder.join("arguments")) else {
            all.complete = false;
            continue;
        };
        let mut sum = crc32fast::Hasher::new();
        let (mut arguments, mut disks): (Vec<String>, _) = (Vec::new(), Vec::new());
        for line in lines.lines() {
            let disk = line.split_once(DISK).map(|(_, rest)| rest);
            let disk = disk.and_then(|rest| rest.split(',').next());
            arguments.push(match disk {
                Some(n) => {
                    let disk = folder.join(n);
                    sum.update(&tools::read(&disk)?);
                    disks.push(disk);
                    line.replace(&format!("{DISK}{n}"), &format!("{DISK}{}", disks.len() - 1))
                }
                None => line.into(),
            });
        }
        // Memory full of garbage would make a snapshot slow.
        if arguments.iter().any(|argument| argument.contains(GARBAGE)) {
            for option in ["-m", "-object", "-machine"] {
                let at = arguments.iter().position(|argument| argument == option);
                let at = at.ok_or_else(|| format!("{test}: no {option}"))?;
                arguments.drain(at..at + 2);
            }
            all.complete = false;
        }
        // Paths of temporary files differ from run to run.
        for argument in arguments.iter().filter(|argument| !argument.contains('/')) {
            sum.update(argument.as_bytes());
        }
        all.boots.push(Boot {
            name: format!("{test}#{:08x}", sum.finalize()),
            arguments,
            disks,
            unusable: folder.join("unusable"),
            reaches,
        });
    }
    Ok(all)
}

impl Boot {
    /// Whether the test looks only at the status with which the kernel ends QEMU, or
    /// at the loader's error.
    pub fn has_exit(&self) -> bool {
        self.arguments
            .iter()
            .any(|argument| argument.starts_with("isa-debug-exit"))
    }

    /// The arguments to repeat it, with these disks; its other files go into the
    /// folder. The kernel's exit and the serial line are not part of them.
    pub fn repeated(&self, disks: &[PathBuf], folder: &Path) -> Vec<String> {
        let mut words = self.arguments.iter();
        let mut repeated = Vec::new();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-display" | "-monitor" | "-serial" | "-debugcon" | "-qmp" => {
                    words.next();
                }
                "-no-reboot" => {}
                "-device" if self.has_exit() => {
                    let device = words.next().map_or("", |device| device);
                    if !device.starts_with("isa-debug-exit") {
                        repeated.extend(["-device".into(), device.into()]);
                    }
                }
                word => {
                    let mut word = word.to_string();
                    for (n, disk) in disks.iter().enumerate() {
                        word = word.replace(&format!("{DISK}{n}"), &qemu::escaped(disk));
                    }
                    if let Some((start, _)) = word.split_once(",path=") {
                        word = format!("{start},path={}", qemu::escaped(&folder.join("report")));
                    }
                    repeated.push(word);
                }
            }
        }
        repeated
    }
}
