//! `siso-image run`: boots a kernel where the user can see it.
//!
//! Where there is a display, in QEMU's window; in a terminal without one, in
//! the terminal; with neither, until it has come to rest, and then what it
//! showed is printed.

use crate::qemu::{Failure, Machine, escaped, program};
use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

/// Boots an image; `flags` are more arguments for QEMU. Where they are about
/// the serial line or the terminal, that is left to them. A kernel that leaves
/// QEMU with the exit status `success` has not failed.
pub fn run(image: &Path, flags: &[String], success: i32) -> Result<(), String> {
    if display() && window() {
        return interactive(image, &[], "stdio", flags, success);
    }
    if display() {
        eprintln!("This QEMU has no window to open (`make doctor` tells how to get it).");
    }
    let has = |wanted: &[&str]| flags.iter().any(|flag| wanted.contains(&flag.as_str()));
    let terminal = stdin().is_terminal() && stdout().is_terminal();
    if terminal && has(&["-display", "-nographic"]) {
        return interactive(image, &[], "stdio", flags, success);
    }
    if terminal {
        return in_terminal(image, flags, success);
    }
    if has(&["-S"]) {
        // Somebody will debug it: it may stand still for as long as they like.
        return interactive(image, &["-display", "none"], "stdio", flags, success);
    }
    headless(image, flags, success)
}

/// Is there somebody who can see a window?
fn display() -> bool {
    cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| env::var_os(name).is_some())
}

/// Can this QEMU open one? Distributions have that in a package of its own.
fn window() -> bool {
    let help = Command::new(program()).args(["-display", "help"]).output();
    let kinds = help.map(|output| output.stdout).unwrap_or_default();
    let kinds = String::from_utf8_lossy(&kinds);
    kinds
        .lines()
        .any(|kind| ["gtk", "sdl", "cocoa"].contains(&kind.trim()))
}

/// QEMU draws the screen in the terminal; the serial line is shown behind it.
fn in_terminal(image: &Path, flags: &[String], success: i32) -> Result<(), String> {
    println!("The screen will be shown here. To leave it, press Alt+2 and type: quit");
    print!("Press Enter to begin. ");
    let _ = stdout().flush(); // the words may as well come late
    let _ = stdin().read_line(&mut String::new()); // whatever it is
    let serial = image.with_file_name("serial");
    let to = format!("file:{}", escaped(&serial));
    let ended = interactive(image, &["-display", "curses"], &to, flags, success);
    if let Ok(said) = fs::read(serial) {
        let said = String::from_utf8_lossy(&said).replace('\r', "");
        println!("Serial line:\n{}", said.trim());
    }
    ended
}

fn interactive(
    image: &Path,
    mode: &[&str],
    serial: &str,
    flags: &[String],
    success: i32,
) -> Result<(), String> {
    let theirs = |flag: &String| {
        ["-serial", "-nographic"].contains(&flag.as_str()) || flag.contains("stdio")
    };
    let mut command = Command::new(program());
    command.arg("-no-reboot").args(mode);
    if !flags.iter().any(theirs) {
        command.args(["-serial", serial]);
    }
    // Closing QEMU is no failure; its log tells when it was a fault (on TCG).
    let log = image.with_file_name("log");
    if !flags
        .iter()
        .any(|flag| ["-d", "-D"].contains(&flag.as_str()))
    {
        command.args(["-d", "cpu_reset", "-D"]).arg(&log);
    }
    let status = command.args(Machine::disk(image)).args(flags).status();
    let log = fs::read(log).unwrap_or_default();
    let triple_fault = String::from_utf8_lossy(&log).contains("Triple fault");
    match status {
        Ok(_) if triple_fault => Err("a triple fault has reset the machine".into()),
        Ok(status) if status.success() || status.code() == Some(success) => Ok(()),
        Ok(status) => Err(format!("{}: {status}", program())),
        Err(error) => Err(not_started(&error)),
    }
}

fn headless(image: &Path, flags: &[String], success: i32) -> Result<(), String> {
    let mut machine = start(image, flags)?;
    let rest = machine.wait_for_rest(timeout()?);
    // What there is to see helps most when something went wrong.
    match rest
        .as_ref()
        .ok()
        .cloned()
        .or_else(|| machine.screen().ok())
    {
        Some(screen) => println!("{screen}"),
        None => println!("(no screen to show)"),
    }
    println!("Serial line:\n{}", machine.serial().trim());
    match rest {
        Ok(_) => Ok(()),
        Err(Failure::Ended { status, .. }) if status == Some(success) => Ok(()),
        Err(failure) => Err(failure.to_string()),
    }
}

/// `siso-image picture`: boots an image, writes a picture of the screen.
pub fn picture(image: &Path, file: &Path, flags: &[String]) -> Result<(), String> {
    let mut machine = start(image, flags)?;
    machine
        .wait_for_rest(timeout()?)
        .map_err(|failure| failure.to_string())?;
    let file = std::path::absolute(file).map_err(|error| error.to_string())?;
    machine
        .picture(&file)
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn start(image: &Path, flags: &[String]) -> Result<Machine, String> {
    let arguments: Vec<String> = Machine::disk(image)
        .into_iter()
        .chain(flags.to_vec())
        .collect();
    Machine::start(&arguments).map_err(|error| not_started(&error))
}

/// QEMU could not be started.
pub fn not_started(error: &std::io::Error) -> String {
    format!(
        "{}: {error}; `make doctor` tells how to get QEMU",
        program()
    )
}

/// How long to wait for a kernel to come to rest.
fn timeout() -> Result<Duration, String> {
    Ok(time_limit()?.unwrap_or(Duration::from_secs(60)))
}

/// `$TIMEOUT` in seconds, if it is set.
pub fn time_limit() -> Result<Option<Duration>, String> {
    let Ok(seconds) = env::var("TIMEOUT") else {
        return Ok(None);
    };
    match seconds.parse() {
        Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
        Err(_) => Err(format!("TIMEOUT={seconds}: wants a number of seconds")),
    }
}
