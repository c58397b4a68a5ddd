//! Boots a disk in QEMU and counts what is executed, with `plugin.c`.

use crate::tools;
use siso_image::qemu::{Machine, program};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A boot that takes longer has failed.
const LONG: Duration = Duration::from_secs(300);

/// The machine that everything is counted on: a clock that follows the
/// instructions, and QEMU's usual PC.
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

/// What one boot has executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The loader's own instructions.
    pub own: u64,
    /// The firmware's instructions.
    pub firmware: u64,
    /// Firmware by what called it.
    pub callers: BTreeMap<Caller, Calls>,
    /// Own instructions by their address.
    pub at: BTreeMap<u64, u64>,
    /// Own instructions from 64 KiB up.
    pub elsewhere: u64,
}

/// Who makes the firmware run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// An INT instruction of the loader.
    Int(u8),
    /// A device, while the loader runs.
    Hardware,
}

/// How often it was called, and what that took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Calls {
    pub calls: u64,
    pub instructions: u64,
}

impl Counts {
    /// Everything from 0x7c00 to the entry.
    pub fn total(&self) -> u64 {
        self.own + self.firmware
    }

    /// Calls of the BIOS's disk service.
    pub fn disk_calls(&self) -> u64 {
        self.callers
            .get(&Caller::Int(0x13))
            .map_or(0, |calls| calls.calls)
    }

    /// Reads what the plugin has written.
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
    folder: PathBuf,
    plugin: PathBuf,
}

impl Counter {
    /// Compiles the plugin in this folder.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let (source, plugin) = (folder.join("plugin.c"), folder.join("plugin.so"));
        tools::write(&source, include_bytes!("../plugin.c"))?;
        tools::run(
            tools::compiler()
                .args(["-shared", "-fPIC", "-O2"])
                .arg(&source)
                .arg("-o")
                .arg(&plugin),
        )?;
        Ok(Counter {
            folder: folder.into(),
            plugin,
        })
    }

    /// Boots a disk and counts until `entry` is executed.
    pub fn boot(&self, disk: &Path, entry: u64) -> Result<Counts, String> {
        let out = self.folder.join("counts");
        let words = self.folder.join("stderr");
        let _ = std::fs::remove_file(&out); // of the boot before
        let stderr = std::fs::File::create(&words).map_err(|error| error.to_string())?;
        let mut child = Command::new(program())
            .args(MACHINE)
            .args(Machine::disk(disk))
            .arg("-plugin")
            .arg(format!(
                "{},entry={entry:#x},out={}",
                self.plugin.display(),
                out.display()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(|error| format!("{}: {error}", program()))?;
        let start = Instant::now();
        let status = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break Some(status),
                None if start.elapsed() > LONG => {
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
                "{}: its entry {entry:#x} was not reached ({}) {}",
                disk.display(),
                status.map_or("waited long enough".into(), |status| status.to_string()),
                std::fs::read_to_string(&words).unwrap_or_default().trim(),
            )),
        }
    }
}

/// Which QEMU and which SeaBIOS this is. The firmware says so on a debug port,
/// in a boot of its own: with that port it has more to do.
pub fn versions(disk: &Path, folder: &Path) -> Result<String, String> {
    let qemu = tools::run(Command::new(program()).arg("--version"))?;
    let qemu = qemu.lines().next().unwrap_or_default();
    let log = folder.join("firmware");
    let mut machine = Machine::start(
        &Machine::disk(disk)
            .into_iter()
            .chain([
                "-chardev".into(),
                format!("file,id=firmware,path={}", log.display()),
                "-device".into(),
                "isa-debugcon,iobase=0x402,chardev=firmware".into(),
            ])
            .collect::<Vec<String>>(),
    )
    .map_err(|error| format!("{}: {error}", program()))?;
    let start = Instant::now();
    while start.elapsed() < LONG {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.contains("version")) {
            return Ok(format!("{qemu}; {line}"));
        }
        if let Ok(Some(_)) = machine.wait_for_end(Duration::from_millis(100)) {
            break;
        }
    }
    Ok(format!("{qemu}; a firmware that does not tell its version"))
}
