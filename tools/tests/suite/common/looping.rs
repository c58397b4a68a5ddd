//! Boots many times in one guest, with the loop of `tests/firmware/bad_bios.s`;
//! starts QEMU again after a boot that does not return to the BIOS.

use super::bad_bios::BadBios;
use super::{Disk, Folder};
use siso_image::qemu::Machine;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// The time limit of a boot where none is expected to hang.
pub const NO_HANG: Duration = Duration::from_secs(60);

/// The loader's last message before it starts a kernel.
const LOADER_MESSAGE: &str = "long mode, entry";
/// The message of the kernel `triple_fault` before it resets the machine.
const KERNEL_MESSAGE: &str = "about to fault";
/// The outcome of a boot that started the kernel. The kernel must reset the
/// machine, so that this is detected.
pub const BOOTS: &str = "boots";

/// The number of boots with each outcome.
pub type Outcomes = BTreeMap<String, usize>;

/// Whether to test all cases, or a sample that takes less time.
pub fn full() -> bool {
    env::var_os("SISO_FULL").is_some()
}

/// Boots `count` times and adds the outcomes to `outcomes`. A boot that takes
/// longer than `hang` counts as a hang. QEMU gets more arguments; `inspect` is
/// called before each QEMU is ended.
pub fn run(
    bios: &mut BadBios,
    disk: &Disk,
    count: usize,
    hang: Duration,
    outcomes: &mut Outcomes,
    arguments: &[&str],
    inspect: impl Fn(&mut Machine),
) {
    bios.set("loop_end", count as u32);
    let mut next = 0;
    while next < count {
        bios.set("loop_first", next as u32);
        let folder = Folder::new();
        // After a reset, QEMU does not exit, so that the machine can be inspected.
        let arguments = [&["-no-shutdown"], arguments].concat();
        let (mut machine, _bios) = bios.boot(disk, &folder, &arguments);
        let (reported, last) = watch(&mut machine, &folder, hang);
        inspect(&mut machine);
        next += reported.len() + usize::from(last.is_some());
        for outcome in reported.into_iter().chain(last) {
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
}

/// Watches one QEMU. Returns the outcomes of the boots that returned to the BIOS,
/// and the outcome of the last boot if it did not.
fn watch(machine: &mut Machine, folder: &Folder, hang: Duration) -> (Vec<String>, Option<String>) {
    let report = || fs::read_to_string(folder.0.join("report")).unwrap_or_default();
    let (mut length, mut since) = (0, Instant::now());
    let last = loop {
        let now = report();
        if now.ends_with('.') {
            break None;
        }
        if now.len() != length {
            (length, since) = (now.len(), Instant::now());
        }
        // Corrupt code may even end QEMU.
        let state = machine.run_state();
        if state.is_err() || state.is_ok_and(|state| state == "shutdown") {
            // The last line shows how far the last boot got.
            let serial = machine.serial();
            let line = serial.trim_end().lines().next_back().unwrap_or_default();
            let started = [LOADER_MESSAGE, KERNEL_MESSAGE]
                .iter()
                .any(|message| line.contains(message));
            break Some(if started { BOOTS } else { "resets" }.to_string());
        }
        if since.elapsed() > hang {
            break Some("hangs".to_string());
        }
        thread::sleep(Duration::from_millis(20));
    };
    let outcome = |line: &str| {
        let words = line.split_once(' ').map_or("", |(_, words)| words);
        if words.starts_with(LOADER_MESSAGE) {
            return BOOTS.to_string();
        }
        let sentence = words.split(':').next().unwrap_or(words);
        sentence.trim_end().to_string()
    };
    let text = report();
    let reported = text
        .lines()
        .filter(|line| *line != ".")
        .map(outcome)
        .collect();
    (reported, last)
}
