//! A machine that boots a lab's kernel, whose last lines on the serial line say how it
//! ended, and what is on the screen then.

use crate::guest::{Clock, HANG, LIMIT, OUTPUT, POLL, SAME, STILL};
use crate::lab::{Check, Lab};
use crate::place::Places;
use crate::report::{Complaint, Row};
use crate::student;
use siso_image::elf::Kernel;
use siso_image::image::{Image, Options};
use siso_image::manifest::Manifest;
use siso_image::qemu::{COLUMNS, Machine, ROWS, Scratch, Screen, disk, loader_error};
use std::fs;
use std::io;
use std::thread::sleep;

/// The size of a VGA's text memory, of which the screen shows the first part.
const TEXT_BYTES: usize = 0x8000;
const CELLS: usize = ROWS * COLUMNS;
/// What the lab's kernel, `docs/labs/vga/kernel.rs`, writes before anything else: the
/// colours, and the bytes after the screen. In each row, another letter: see [`before`].
const COLORS: u8 = 0x2f;
const AFTER: u8 = 0x55;
/// How the kernel's report begins and ends.
const REPORT: &str = "lab: ";
const END: &str = "lab: end\n";

/// The colours of the VGA's palette, as in `src/vga.rs`.
const NAMES: [&str; 16] = [
    "black",
    "blue",
    "green",
    "cyan",
    "red",
    "magenta",
    "brown",
    "light gray",
    "dark gray",
    "light blue",
    "light green",
    "light cyan",
    "light red",
    "light magenta",
    "yellow",
    "white",
];

/// Boots a kernel on the machine of a check, and compares.
pub fn try_one(lab: &Lab, check: &Check, kernel: &[u8]) -> Result<Row, String> {
    let complaint = match image(check, kernel) {
        Err(refused) => Some((refused, "the kernel has an image".into())),
        Ok(image) => boot(lab, check, kernel, &image)?,
    };
    let complaint = complaint.map(|(seen, wanted)| Complaint {
        seen,
        wanted,
        page: check.page.clone(),
    });
    Ok(Row {
        seen: Some("shows what it should".into()),
        complaint,
        ..Row::new(check)
    })
}

fn image(check: &Check, kernel: &[u8]) -> Result<Vec<u8>, String> {
    let kernel = Kernel::parse(kernel, false).map_err(|error| error.to_string())?;
    let options = Options {
        command_line: check.run.clone(),
        ..Options::default()
    };
    Image::new(&kernel, &Manifest::default(), &options)
        .map(|image| image.bytes)
        .map_err(|error| error.to_string())
}

/// What is wrong and what is wanted, if anything is.
type Wrong = Option<(String, String)>;

fn boot(lab: &Lab, check: &Check, kernel: &[u8], image: &[u8]) -> Result<Wrong, String> {
    let about = |error: io::Error| format!("QEMU cannot be watched: {error}");
    let scratch = Scratch::new().map_err(about)?;
    let file = scratch.path().join("image");
    fs::write(&file, image).map_err(about)?;
    let mut arguments = disk(&file).to_vec();
    arguments.extend(["-nic", "none"].map(String::from));
    let mut machine = Machine::start(&arguments).map_err(about)?;
    let places = Places::new(kernel, lab)?;
    let wanted = || "the kernel goes on to its end".to_string();
    let started = Clock::new(&machine);
    let (mut said, mut changed) = (String::new(), started);
    let (mut at, mut same, mut still) = (0, 0, started);
    loop {
        sleep(POLL);
        let now = machine.serial();
        if now.ends_with(END) {
            break;
        }
        if let Some(error) = loader_error(&now) {
            return Ok(Some((format!("the loader stops with {error}"), wanted())));
        }
        if machine.has_ended() {
            return Ok(Some(("the kernel resets the machine".into(), wanted())));
        }
        if now.len() > OUTPUT {
            return Ok(Some(("the kernel prints without end".into(), wanted())));
        }
        if now != said {
            (said, changed) = (now, Clock::new(&machine));
        }
        let Ok(rip) = machine.register("RIP") else {
            continue; // it is ending
        };
        if rip != at {
            (at, same, still) = (rip, 0, Clock::new(&machine));
        }
        same += 1;
        // A jump to itself, or a HLT.
        let stands = same > SAME && still.elapsed(&machine) > STILL;
        if stands || changed.elapsed(&machine) > HANG || started.elapsed(&machine) > LIMIT {
            let seen = format!("the kernel hangs, at {}", places.name(rip));
            return Ok(Some((seen, wanted())));
        }
    }
    let said = machine.serial();
    let report: String = said
        .split_once(REPORT)
        .map(|(_, report)| report.trim_end_matches(END).into())
        .unwrap_or_default();
    let Some(cursor) = report.strip_prefix("cursor ") else {
        return Ok(Some((ending(&report, lab, &places), wanted())));
    };
    let cursor = cursor.trim().parse().unwrap_or(u64::MAX);
    let memory = machine.memory(Screen::ADDRESS, TEXT_BYTES).map_err(about)?;
    Ok(compare(check, &memory, cursor))
}

/// How a kernel ended that did not come to its end: a panic, or `exception at ADDRESS` and
/// its description.
fn ending(report: &str, lab: &Lab, places: &Places) -> String {
    let exception = || {
        let (address, text) = report.strip_prefix("exception at 0x")?.split_once('\n')?;
        let address = u64::from_str_radix(address, 16).ok()?;
        let first = text.trim().lines().next()?;
        Some(format!("{first}, at {}", places.name(address)))
    };
    let text = exception().unwrap_or_else(|| report.trim().replace(":\n", ": "));
    text.replace(&lab.file, &student::shown(lab))
}

/// The cells before the kernel prints.
fn before() -> Vec<[u8; 2]> {
    let letter = |cell: usize| b'a' + (cell / COLUMNS) as u8;
    (0..CELLS).map(|cell| [letter(cell), COLORS]).collect()
}

/// The code of a character of the PC's set that an expected text may have.
fn code(character: char) -> u8 {
    match character {
        '\u{25a0}' => 0xfe,
        _ => character as u8,
    }
}

fn compare(check: &Check, memory: &[u8], cursor: u64) -> Wrong {
    let mut wanted = before();
    for part in &check.screen {
        let codes = part.text.chars().map(code).chain(std::iter::repeat(b' '));
        let cells = wanted.iter_mut().skip(part.first).take(part.count);
        for (cell, code) in cells.zip(codes) {
            *cell = [code, part.colors];
        }
    }
    let (screen, after) = memory.split_at(Screen::BYTES);
    if let Some(n) = after.iter().position(|&byte| byte != AFTER) {
        let first = Screen::ADDRESS as usize + Screen::BYTES;
        return Some((
            format!(
                "memory after the screen was written to, at {:#x}",
                first + n
            ),
            format!("nothing from {first:#x} on has changed: the screen ends there"),
        ));
    }
    for (n, (seen, wanted)) in screen.as_chunks::<2>().0.iter().zip(&wanted).enumerate() {
        if seen != wanted {
            let place = format!("row {}, column {}", n / COLUMNS, n % COLUMNS);
            return Some((
                format!("{place} has {}", cell(*seen)),
                format!("{place} has {}", cell(*wanted)),
            ));
        }
    }
    (cursor != check.cursor).then(|| {
        let place = |cell: u64| {
            let columns = COLUMNS as u64;
            format!("row {}, column {}", cell / columns, cell % columns)
        };
        (
            format!("the cursor is in {}", place(cursor)),
            format!("the cursor is in {}", place(check.cursor)),
        )
    })
}

/// A cell in words.
fn cell([code, colors]: [u8; 2]) -> String {
    let character = match code {
        b' '..=b'~' => format!("'{}'", char::from(code)),
        0xfe => "a block (0xfe)".into(),
        _ => format!("character {code:#x}"),
    };
    let name = |color: u8| NAMES[usize::from(color & 0xf)];
    format!("{character} in {} on {}", name(colors), name(colors >> 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read() {
        assert_eq!(cell([b'A', 0x4f]), "'A' in white on red");
        assert_eq!(cell([0xfe, 0x0b]), "a block (0xfe) in light cyan on black");
    }
}
