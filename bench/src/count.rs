//! Boots a disk in QEMU and counts the executed instructions, with `count.c`.

use bench::{plugin, tools};
use siso_image::qemu::{self, Machine, Scratch, not_started};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The time limit of a boot.
const BOOT_LIMIT: Duration = Duration::from_secs(300);

/// The machine for all counts: QEMU's default PC, with a clock that follows the
/// instructions.
const MACHINE: [&str; 9] = [
    "-accel",
    "tcg",
    "-icount",
    "shift=0,sleep=off",
    "-m",
    "512",
    "-display",
    "none",
    "-no-reboot",
];

/// The instructions executed during one boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The loader's own instructions.
    pub own: u64,
    /// The firmware's instructions.
    pub firmware: u64,
    /// The firmware's instructions by caller.
    pub callers: BTreeMap<Caller, Calls>,
    /// The loader's instructions by address.
    pub at: BTreeMap<u64, u64>,
    /// The loader's instructions at addresses from 64 KiB up.
    pub elsewhere: u64,
}

/// What calls the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// An INT instruction of the loader.
    Int(u8),
    /// A hardware interrupt while the loader runs.
    Hardware,
}

/// The number of calls, and the instructions executed in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Calls {
    pub calls: u64,
    pub instructions: u64,
}

impl Counts {
    /// All instructions from 0x7c00 to the kernel's entry.
    pub fn total(&self) -> u64 {
        self.own + self.firmware
    }

    /// The number of calls of the BIOS's disk service.
    pub fn disk_calls(&self) -> u64 {
        self.callers
            .get(&Caller::Int(0x13))
            .map_or(0, |calls| calls.calls)
    }

    /// Parses the plugin's output.
    fn parse(text: &str) -> Option<Self> {
        let mut counts = Counts::default();
        for line in text.lines() {
            let (name, numbers) = line.split_once(' ')?;
            let numbers: Result<Vec<u64>, _> = numbers.split(' ').map(str::parse).collect();
            match (name, numbers.ok()?.as_slice()) {
                ("own", &[own]) => counts.own = own,
                ("firmware", &[firmware]) => counts.firmware = firmware,
                ("int", &[number, calls, instructions]) => {
                    let caller = Caller::Int(number.try_into().ok()?);
                    let calls = Calls {
                        calls,
                        instructions,
                    };
                    counts.callers.insert(caller, calls);
                }
                ("hardware", &[calls, instructions]) => {
                    let calls = Calls {
                        calls,
                        instructions,
                    };
                    counts.callers.insert(Caller::Hardware, calls);
                }
                ("at", &[address, own]) => _ = counts.at.insert(address, own),
                ("elsewhere", &[own]) => counts.elsewhere = own,
                _ => return None,
            }
        }
        Some(counts)
    }
}

/// QEMU with the plugin.
pub struct Counter {
    plugin: PathBuf,
}

impl Counter {
    /// Compiles the plugin in a folder.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let plugin = plugin::compile(folder, "count", include_str!("../count.c"))?;
        Ok(Counter { plugin })
    }

    /// Boots a disk and counts until the CPU reaches `entry`.
    pub fn boot(&self, disk: &Path, entry: u64) -> Result<Counts, String> {
        let mut scratch = Scratch::new().map_err(|error| error.to_string())?;
        let out = scratch.path().join("counts");
        let errors = scratch.path().join("stderr");
        let stderr = std::fs::File::create(&errors).map_err(|error| error.to_string())?;
        let mut command = qemu::command();
        command
            .args(MACHINE)
            .args(qemu::disk(disk))
            .arg("-plugin")
            .arg(format!(
                "{},entry={entry:#x},out={}",
                self.plugin.display(),
                out.display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let mut child = scratch
            .spawn(&mut command)
            .map_err(|error| not_started(&qemu::program(), &error))?;
        let start = Instant::now();
        let status = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break Some(status),
                None if start.elapsed() > BOOT_LIMIT => {
                    let _ = child.kill(); // it may have ended just now
                    let _ = child.wait();
                    break None;
                }
                None => sleep(Duration::from_millis(10)),
            }
        };
        let text = std::fs::read_to_string(&out).unwrap_or_default();
        match Counts::parse(&text) {
            Some(counts) if counts.own > 0 => Ok(counts),
            _ => Err(format!(
                "{}: the kernel's entry {entry:#x} was not reached ({}) {}",
                disk.display(),
                status.map_or("time limit exceeded".into(), |status| status.to_string()),
                std::fs::read_to_string(&errors).unwrap_or_default().trim(),
            )),
        }
    }
}

/// The versions of QEMU and SeaBIOS. The firmware prints its version to a debug
/// port. This takes a separate boot, because the port adds instructions.
pub fn versions(disk: &Path, folder: &Path) -> Result<String, String> {
    let qemu = tools::run(qemu::command().arg("--version"))?;
    let qemu = qemu.lines().next().unwrap_or_default();
    let log = folder.join("firmware");
    let mut machine = Machine::start(
        &qemu::disk(disk)
            .into_iter()
            .chain([
                "-chardev".into(),
                format!("file,id=firmware,path={}", log.display()),
                "-device".into(),
                "isa-debugcon,iobase=0x402,chardev=firmware".into(),
            ])
            .collect::<Vec<String>>(),
    )
    .map_err(|error| not_started(&qemu::program(), &error))?;
    let start = Instant::now();
    while start.elapsed() < BOOT_LIMIT {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.contains("version")) {
            return Ok(format!("{qemu}; {line}"));
        }
        if let Ok(Some(_)) = machine.wait_for_end(Duration::from_millis(100)) {
            break;
        }
    }
    Ok(format!("{qemu}; firmware of unknown version"))
}
