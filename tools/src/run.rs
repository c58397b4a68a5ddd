//! `siso-image run`: boots a kernel where the user can see it.
//!
//! With a display, QEMU opens a window. Without a display, it draws the screen in
//! the terminal. With neither, the kernel runs until it halts, and then its
//! screen is printed.

use crate::qemu::{self, Failure, Machine, Scratch, escaped, not_started, program};
use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

/// Boots an image. `flags` are more arguments for QEMU, and take precedence where
/// they set up the serial line or the terminal. A kernel that exits QEMU with the
/// exit status `success` has not failed.
pub fn run(
    scratch: &mut Scratch,
    image: &Path,
    flags: &[String],
    success: i32,
) -> Result<(), String> {
    if display() && window() {
        return interactive(scratch, image, &[], "stdio", flags, success);
    }
    if display() {
        eprintln!("This QEMU cannot open a window (`make doctor` shows what to install).");
    }
    let has = |any: &[&str]| flags.iter().any(|flag| any.contains(&flag.as_str()));
    let terminal = stdin().is_terminal() && stdout().is_terminal();
    if terminal && has(&["-display", "-nographic"]) {
        return interactive(scratch, image, &[], "stdio", flags, success);
    }
    if terminal {
        return in_terminal(scratch, image, flags, success);
    }
    if has(&["-S"]) {
        // A debugger will connect, so there is no time limit.
        return interactive(
            scratch,
            image,
            &["-display", "none"],
            "stdio",
            flags,
            success,
        );
    }
    headless(image, flags, success)
}

/// Whether there is a display.
fn display() -> bool {
    cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| env::var_os(name).is_some())
}

/// Whether this QEMU can open a window: in most distributions, that needs a
/// separate package.
fn window() -> bool {
    let help = qemu::command().args(["-display", "help"]).output();
    let kinds = help.map(|output| output.stdout).unwrap_or_default();
    let kinds = String::from_utf8_lossy(&kinds);
    kinds
        .lines()
        .any(|kind| ["gtk", "sdl", "cocoa"].contains(&kind.trim()))
}

/// QEMU draws the screen in the terminal; the serial line is printed afterwards.
fn in_terminal(
    scratch: &mut Scratch,
    image: &Path,
    flags: &[String],
    success: i32,
) -> Result<(), String> {
    println!("QEMU will show the screen here. To quit, press Alt+2 and type: quit");
    print!("Press Enter to start. ");
    let _ = stdout().flush(); // the prompt may be late
    let _ = stdin().read_line(&mut String::new()); // any input will do
    let serial = image.with_file_name("serial");
    let to = format!("file:{}", escaped(&serial));
    let result = interactive(scratch, image, &["-display", "curses"], &to, flags, success);
    if let Ok(output) = fs::read(serial) {
        let output = String::from_utf8_lossy(&output).replace('\r', "");
        println!("Serial line:\n{}", output.trim());
    }
    result
}

fn interactive(
    scratch: &mut Scratch,
    image: &Path,
    mode: &[&str],
    serial: &str,
    flags: &[String],
    success: i32,
) -> Result<(), String> {
    let sets_serial = |flag: &String| {
        ["-serial", "-nographic"].contains(&flag.as_str()) || flag.contains("stdio")
    };
    let mut command = qemu::command();
    command.arg("-no-reboot").args(mode);
    if !flags.iter().any(sets_serial) {
        command.args(["-serial", serial]);
    }
    // Closing QEMU is not a failure; the log shows a triple fault (with TCG).
    let log = image.with_file_name("log");
    if !flags
        .iter()
        .any(|flag| ["-d", "-D"].contains(&flag.as_str()))
    {
        command.args(["-d", "cpu_reset", "-D"]).arg(&log);
    }
    command.args(qemu::disk(image)).args(flags);
    let status = scratch
        .spawn(&mut command)
        .and_then(|mut child| child.wait());
    let log = fs::read(log).unwrap_or_default();
    let triple_fault = String::from_utf8_lossy(&log).contains("Triple fault");
    match status {
        Ok(_) if triple_fault => Err("a triple fault reset the machine".into()),
        Ok(status) if status.success() || status.code() == Some(success) => Ok(()),
        Ok(status) => Err(format!("{}: {status}", program())),
        Err(error) => Err(not_started(&error)),
    }
}

fn headless(image: &Path, flags: &[String], success: i32) -> Result<(), String> {
    let mut machine = start(image, flags)?;
    let halted = machine.wait_for_halt(timeout()?);
    // The screen is shown even after a failure, when it helps most.
    match halted
        .as_ref()
        .ok()
        .cloned()
        .or_else(|| machine.screen().ok())
    {
        Some(screen) => println!("{screen}"),
        None => println!("(no screen to show)"),
    }
    println!("Serial line:\n{}", machine.serial().trim());
    match halted {
        Ok(_) => Ok(()),
        Err(Failure::Ended { status, .. }) if status == Some(success) => Ok(()),
        Err(failure) => Err(failure.to_string()),
    }
}

/// `siso-image screenshot`: boots an image and saves a screenshot.
pub fn screenshot(image: &Path, file: &Path, flags: &[String]) -> Result<(), String> {
    let mut machine = start(image, flags)?;
    machine
        .wait_for_halt(timeout()?)
        .map_err(|failure| failure.to_string())?;
    let file = std::path::absolute(file).map_err(|error| error.to_string())?;
    machine
        .screenshot(&file)
        .map_err(|error| format!("{}: {error}", file.display()))
}

fn start(image: &Path, flags: &[String]) -> Result<Machine, String> {
    let arguments: Vec<String> = qemu::disk(image)
        .into_iter()
        .chain(flags.to_vec())
        .collect();
    Machine::start(&arguments).map_err(|error| not_started(&error))
}

/// How long to wait for the kernel to halt.
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
        Err(_) => Err(format!("TIMEOUT={seconds}: must be a number of seconds")),
    }
}
