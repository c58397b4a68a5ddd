//! Boots a loader with a change, as the book tells its reader to try.

use siso_image::qemu::{self, Machine, loader_error};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What happens when an image boots.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel says hello on the serial line.
    Boots,
    /// The machine is reset.
    Reset,
    /// Nothing happens any more.
    Hangs,
    /// The loader shows this error.
    Error(String),
}

/// How long nothing must happen until it is a hang.
const HANG: Duration = Duration::from_secs(8);
const LIMIT: Duration = Duration::from_secs(60);

/// Boots an image, with more arguments for QEMU.
pub fn boot(image: &[u8], work: &Path, arguments: &[&str]) -> (Outcome, String) {
    let file = work.join("try.img");
    fs::write(&file, image).expect("a file can be written");
    let disk = qemu::disk(&file);
    let mut all: Vec<&str> = disk.iter().map(String::as_str).collect();
    all.extend(arguments);
    let mut machine = Machine::start(&all).expect("QEMU starts");
    let (start, mut last, mut changed) = (Instant::now(), String::new(), Instant::now());
    let outcome = loop {
        let said = machine.debug_port() + &machine.serial();
        if said.contains("This is the kernel") {
            break Outcome::Boots;
        }
        if let Some(error) = loader_error(&said) {
            break Outcome::Error(error);
        }
        if machine.has_ended() {
            break Outcome::Reset;
        }
        if said != last {
            (last, changed) = (said, Instant::now());
        }
        assert!(start.elapsed() < LIMIT, "QEMU is too slow: {last}");
        if changed.elapsed() > HANG {
            break Outcome::Hangs;
        }
        sleep(Duration::from_millis(50));
    };
    let screen = machine.screen().map(|screen| screen.to_string());
    (outcome, screen.unwrap_or_default())
}
