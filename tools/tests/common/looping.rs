//! Many tries in one guest: the loop of `tests/firmware/bad_bios.s`, and QEMU
//! started again where a try does not come back.

use super::bad_bios::BadBios;
use super::{Disk, Folder};
use siso_image::qemu::Machine;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// How long a try may take where none is expected to hang.
pub const NO_HANG: Duration = Duration::from_secs(60);

/// The loader's last words before it starts a kernel.
const LOADER_SAYS: &str = "long mode, entry";
/// What the kernel `triple_fault` says before it resets the machine.
const KERNEL_SAYS: &str = "about to fault";
/// The outcome of a try in which the kernel was started. It has to reset the
/// machine, so that this is seen.
pub const BOOTS: &str = "boots";

/// What came of the tries: how often which words.
pub type Outcomes = BTreeMap<String, usize>;

/// Whether to try all there is, or a part that takes less time.
pub fn full() -> bool {
    env::var_os("SISO_FULL").is_some()
}

/// Makes so many tries; adds what came of them to `outcomes`. One that takes
/// longer than `hang` counts as hanging.
pub fn run(bios: &mut BadBios, disk: &Disk, tries: usize, hang: Duration, outcomes: &mut Outcomes) {
    run_and_look(bios, disk, tries, hang, outcomes, &[], |_| ());
}

/// The same in a machine with more arguments, at which `look` has a look each
/// time before it is left.
pub fn run_and_look(
    bios: &mut BadBios,
    disk: &Disk,
    tries: usize,
    hang: Duration,
    outcomes: &mut Outcomes,
    arguments: &[&str],
    look: impl Fn(&mut Machine),
) {
    bios.set("loop_end", tries as u32);
    let mut next = 0;
    while next < tries {
        bios.set("loop_first", next as u32);
        let folder = Folder::new();
        // A machine that was reset stays, to be looked at.
        let arguments = [&["-no-shutdown"], arguments].concat();
        let (mut machine, _bios) = bios.boot(disk, &folder, &arguments);
        let (tried, ending) = watch(&mut machine, &folder, hang);
        look(&mut machine);
        next += tried.len() + usize::from(ending.is_some());
        for outcome in tried.into_iter().chain(ending) {
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
}

/// One start of QEMU: what came of each try, and of the last one, if it was
/// not the loader that gave up.
fn watch(machine: &mut Machine, folder: &Folder, hang: Duration) -> (Vec<String>, Option<String>) {
    let report = || fs::read_to_string(folder.0.join("report")).unwrap_or_default();
    let (mut length, mut since) = (0, Instant::now());
    let ending = loop {
        let now = report();
        if now.ends_with('.') {
            break None;
        }
        if now.len() != length {
            (length, since) = (now.len(), Instant::now());
        }
        // Code that was not meant to be may even end QEMU.
        let status = machine.command("info status");
        if status.is_err() || status.is_ok_and(|status| status.contains("shutdown")) {
            // The last line tells how far the last try came.
            let serial = machine.serial();
            let last = serial.trim_end().lines().next_back().unwrap_or_default();
            let started = [LOADER_SAYS, KERNEL_SAYS]
                .iter()
                .any(|word| last.contains(word));
            break Some(if started { BOOTS } else { "resets" }.to_string());
        }
        if since.elapsed() > hang {
            break Some("hangs".to_string());
        }
        thread::sleep(Duration::from_millis(20));
    };
    let code = |line: &str| {
        let words = line.split_once(' ').map_or("", |(_, words)| words);
        if words.starts_with(LOADER_SAYS) {
            return BOOTS.to_string();
        }
        let sentence = words.split(':').next().unwrap_or(words);
        sentence.trim_end().to_string()
    };
    let text = report();
    let tried = text.lines().filter(|line| *line != ".").map(code).collect();
    (tried, ending)
}
