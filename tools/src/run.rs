//! `siso-image run`: boots a kernel where the user can see it.
//!
//! With a display, QEMU opens a window. Without a display, it draws the screen in
//! the terminal. With neither, the serial line is printed as it comes; the screen,
//! while the kernel runs and when it has halted.

use crate::qemu::arguments::{Kind, watched_elsewhere};
use crate::qemu::{self, Failure, Launch, Machine, Scratch, Screen, Seen, escaped, not_started};
use crate::test::Failed;
use std::io::{IsTerminal, Write, stdin, stdout};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

/// How long the loader may take, unless `$TIMEOUT` says so.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often the screen of a kernel that does not halt is printed, if it changes.
const SCREEN_INTERVAL: Duration = Duration::from_secs(5);

/// Boots an image; returns the exit status, which is QEMU's. The folder of the
/// image is for temporary files, too.
pub fn run(scratch: &mut Scratch, image: &Path, launch: Launch) -> Result<u8, Failed> {
    if !launch.is_qemu() {
        return interactive(scratch, image, launch);
    }
    if display() && window(launch.program()) {
        return interactive(scratch, image, launch);
    }
    if display() && !launch.has(Kind::Display) {
        eprintln!("This QEMU cannot open a window (`make doctor` shows what to install).");
    }
    let terminal = stdin().is_terminal() && stdout().is_terminal();
    if terminal && !launch.has(Kind::Display) {
        return in_terminal(scratch, image, launch);
    }
    if terminal || watched_elsewhere(launch.given()) {
        let mut launch = launch;
        launch.add(Kind::Display, &["-display", "none"]);
        return interactive(scratch, image, launch);
    }
    headless(launch)
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
fn window(program: &str) -> bool {
    let help = Command::new(program).args(["-display", "help"]).output();
    let kinds = help.map(|output| output.stdout).unwrap_or_default();
    let kinds = String::from_utf8_lossy(&kinds);
    kinds
        .lines()
        .any(|kind| ["gtk", "sdl", "cocoa"].contains(&kind.trim()))
}

/// QEMU draws the screen in the terminal; the serial line is printed afterwards,
/// because both do not fit into one terminal.
fn in_terminal(scratch: &mut Scratch, image: &Path, mut launch: Launch) -> Result<u8, Failed> {
    println!("QEMU will show the screen here. To quit, press Alt+2 and type: quit");
    print!("Press Enter to start. ");
    let _ = stdout().flush(); // the prompt may be late
    let _ = stdin().read_line(&mut String::new()); // any input will do
    let serial = image.with_file_name("serial");
    launch.add(Kind::Display, &["-display", "curses"]);
    launch.add(
        Kind::Serial,
        &["-serial", &format!("file:{}", escaped(&serial))],
    );
    let result = interactive(scratch, image, launch);
    if let Ok(output) = fs::read(serial) {
        let output = String::from_utf8_lossy(&output).replace('\r', "");
        println!("Serial line:\n{}", output.trim());
    }
    result
}

/// Waits until the user or the kernel ends QEMU, as without this program.
fn interactive(scratch: &mut Scratch, image: &Path, mut launch: Launch) -> Result<u8, Failed> {
    let log = image.with_file_name("log");
    launch.add(Kind::Reset, &["-no-reboot"]);
    launch.add(Kind::Serial, &["-serial", "stdio"]);
    // The log shows a triple fault (with TCG).
    let to_log = log.display().to_string();
    launch.add(Kind::Log, &["-d", "cpu_reset", "-D", &to_log]);
    let status = scratch
        .spawn(&mut launch.command())
        .and_then(|mut child| child.wait())
        .map_err(|error| not_started(launch.program(), &error))?;
    let log = fs::read(log).unwrap_or_default();
    if String::from_utf8_lossy(&log).contains("Triple fault") {
        return Err(Failed::died("a triple fault reset the machine"));
    }
    match status.code() {
        Some(status) => Ok(exit_status(status)),
        None => Err(format!("{}: {status}", launch.program()).into()),
    }
}

/// Nobody can end QEMU, so it ends with the kernel: when that halts.
fn headless(launch: Launch) -> Result<u8, Failed> {
    let program = launch.program().to_string();
    let limit = time_limit()?;
    let mut machine = Machine::launch(launch).map_err(|error| not_started(&program, &error))?;
    let mut screens = Screens::new();
    let halted = machine.watch(limit.unwrap_or(START_LIMIT), limit, |screen, output| {
        screens.seen(screen, output)
    });
    // The screen is shown even after a failure, when it helps most.
    let last = machine.screen().ok();
    machine.stop();
    screens.finish(last, &machine.output());
    match halted {
        Ok(_) => Ok(0),
        Err(Failure::NotHalted {
            long_mode: true,
            after,
        }) => {
            // As if somebody had closed QEMU's window.
            let seconds = after.as_secs();
            eprintln!("siso-image: the kernel still ran after {seconds} seconds, its time limit");
            Ok(0)
        }
        Err(Failure::Ended {
            status: Some(status),
            reset: false,
            ..
        }) => Ok(exit_status(status)),
        Err(failure @ (Failure::Ended { reset: true, .. } | Failure::NotHalted { .. })) => {
            Err(Failed::died(failure.to_string()))
        }
        Err(failure) => Err(failure.to_string().into()),
    }
}

/// The screens of a kernel without a display, printed between its lines on the
/// serial line.
struct Screens {
    since: Instant,
    last: Option<Screen>,
    printed: Option<Screen>,
}

impl Screens {
    fn new() -> Self {
        Screens {
            since: Instant::now(),
            last: None,
            printed: None,
        }
    }

    /// Prints this screen if it is time.
    fn seen(&mut self, screen: &Screen, output: &Seen) {
        if self.since.elapsed() >= SCREEN_INTERVAL {
            self.since = Instant::now();
            self.print("", screen, output);
        }
        self.last = Some(screen.clone());
    }

    /// Prints the screen at the end, or, if QEMU had ended, the last one before.
    fn finish(&mut self, screen: Option<Screen>, output: &Seen) {
        match (screen, self.last.take()) {
            (Some(screen), _) => self.print("", &screen, output),
            (None, Some(last)) => self.print("The screen shortly before:\n", &last, output),
            (None, None) => {}
        }
    }

    /// Prints this screen under a title, unless it was printed before. If the output
    /// is within a line, ends the line.
    fn print(&mut self, title: &str, screen: &Screen, output: &Seen) {
        if self.printed.as_ref() == Some(screen) {
            return;
        }
        let open = output.recent.last().is_some_and(|&byte| byte != b'\n');
        let end = if open { "\n" } else { "" };
        let text = format!("{end}{title}{screen}\n");
        let _ = stdout().write_all(text.as_bytes()); // nobody may read
        self.printed = Some(screen.clone());
    }
}

/// A process's exit status, which has eight bits.
pub fn exit_status(status: i32) -> u8 {
    u8::try_from(status).unwrap_or(1)
}

/// `siso-image screenshot`: boots an image and saves a screenshot.
pub fn screenshot(image: &Path, file: &Path, flags: &[String]) -> Result<(), String> {
    let arguments = [&qemu::disk(image), flags].concat();
    let mut machine =
        Machine::start(&arguments).map_err(|error| not_started(&qemu::program(), &error))?;
    machine
        .wait_for_halt(time_limit()?.unwrap_or(START_LIMIT))
        .map_err(|failure| failure.to_string())?;
    let file = std::path::absolute(file).map_err(|error| error.to_string())?;
    machine
        .screenshot(&file)
        .map_err(|error| format!("{}: {error}", file.display()))
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
