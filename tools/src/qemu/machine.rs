//! A guest that runs without a window, and what can be seen of it.

use super::arguments::{self, Kind};
use super::echo::{Echo, Seen};
use super::launch::Launch;
use super::monitor::Monitor;
use super::process::{Scratch, command, escaped};
use super::screen::Screen;
use serde_json::json;
use std::io::{IsTerminal, stdin};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, io};

/// The interval of polls.
pub(super) const POLL: Duration = Duration::from_millis(50);

/// A QEMU process without a window, and its monitor.
pub struct Machine {
    pub(super) child: Child,
    /// `None` if QEMU ended before the connection was made.
    monitor: Option<Monitor>,
    /// The output if it is printed; otherwise it is in a file.
    echo: Option<Echo>,
    /// The folder of the output files.
    scratch: Scratch,
}

impl Machine {
    /// Starts QEMU with these arguments, which include the boot device. Its output
    /// is kept, not printed.
    pub fn start(arguments: &[impl AsRef<str>]) -> io::Result<Machine> {
        let scratch = Scratch::new()?;
        let file =
            |kind: &str, name: &str| format!("{kind}{}", escaped(&scratch.path().join(name)));
        let mut command = command();
        if !arguments::has(arguments, Kind::Display) {
            command.args(["-display", "none"]);
        }
        if !arguments::has(arguments, Kind::Serial) {
            command.args(["-serial", &file("file:", "serial")]);
        }
        command
            .args(["-no-reboot", "-monitor", "none"])
            .args(["-debugcon", &file("file:", "debug")])
            .args(arguments.iter().map(AsRef::as_ref))
            .stdin(Stdio::null())
            .stderr(fs::File::create(scratch.path().join("stderr"))?);
        Machine::spawn(scratch, command)
    }

    /// Starts QEMU as a user asks for it, without a window. What it writes to its
    /// standard output, such as the serial line, is printed as it arrives. Its
    /// standard input is this program's, unless that is a terminal.
    pub fn launch(mut launch: Launch) -> io::Result<Machine> {
        launch.add(Kind::Display, &["-display", "none"]);
        launch.add(Kind::Reset, &["-no-reboot"]);
        launch.add(Kind::Serial, &["-serial", "stdio"]);
        let mut command = launch.command();
        command.stdout(Stdio::piped());
        // QEMU would not restore a terminal's settings when it is killed.
        if stdin().is_terminal() {
            command.stdin(Stdio::null());
        }
        let mut machine = Machine::spawn(Scratch::new()?, command)?;
        let output = machine.child.stdout.take().expect("stdout is piped");
        machine.echo = Some(Echo::new(output));
        Ok(machine)
    }

    fn spawn(mut scratch: Scratch, mut command: Command) -> io::Result<Machine> {
        let socket = scratch.path().join("monitor");
        command
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", escaped(&socket)));
        let mut child = scratch.spawn(&mut command)?;
        let monitor = connect(&mut child, &socket)?;
        Ok(Machine {
            child,
            monitor,
            echo: None,
            scratch,
        })
    }

    /// The monitor, unless QEMU ended before it could be reached.
    fn monitor(&mut self) -> io::Result<&mut Monitor> {
        Ok(self.monitor.as_mut().ok_or(io::ErrorKind::BrokenPipe)?)
    }

    /// Executes a command of the human monitor and returns the answer.
    pub fn command(&mut self, command: &str) -> io::Result<String> {
        self.monitor()?.human(command)
    }

    /// Reads physical memory.
    pub fn memory(&mut self, address: u64, length: usize) -> io::Result<Vec<u8>> {
        self.save("pmemsave", address, length)
    }

    /// Reads memory at a virtual address of the guest.
    pub fn virtual_memory(&mut self, address: u64, length: usize) -> io::Result<Vec<u8>> {
        self.save("memsave", address, length)
    }

    fn save(&mut self, command: &str, address: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = self.scratch.path().join("memory");
        let arguments = json!({ "val": address, "size": length, "filename": &file });
        self.monitor()?.execute(command, arguments)?;
        fs::read(&file)
    }

    /// The screen in text mode.
    pub fn screen(&mut self) -> io::Result<Screen> {
        self.memory(Screen::ADDRESS, Screen::BYTES).map(Screen)
    }

    /// A register, by its name in the monitor's `info registers`.
    pub fn register(&mut self, name: &str) -> io::Result<u64> {
        self.registers()?.get(name)
    }

    /// All registers.
    pub(super) fn registers(&mut self) -> io::Result<Registers> {
        self.command("info registers").map(Registers)
    }

    /// Whether the guest runs, or why not: QEMU's `RunState`, such as `running` or
    /// `shutdown`.
    pub fn run_state(&mut self) -> io::Result<String> {
        let status = self.monitor()?.execute("query-status", json!({}))?;
        Ok(status["status"].as_str().unwrap_or_default().into())
    }

    /// Writes a screenshot as a PNG file.
    pub fn screenshot(&mut self, file: &Path) -> io::Result<()> {
        let arguments = json!({ "filename": file, "format": "png" });
        self.monitor()?.execute("screendump", arguments).map(drop)
    }

    /// The output on the serial line so far.
    pub fn serial(&self) -> String {
        self.file("serial")
    }

    /// The output to port 0xE9 so far.
    pub fn debug_port(&self) -> String {
        self.file("debug")
    }

    /// What can be seen of the output so far, to notice when there is more.
    pub fn output(&self) -> Seen {
        match &self.echo {
            Some(echo) => echo.seen(),
            None => {
                let recent = self.serial().into_bytes();
                Seen {
                    bytes: recent.len() as u64,
                    recent,
                }
            }
        }
    }

    /// Ends QEMU, and prints what is left of its output.
    pub fn stop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
        if let Some(echo) = &mut self.echo {
            echo.finish();
        }
    }

    /// Whether the guest asked for a reset when QEMU ended, rather than to be
    /// switched off.
    pub(super) fn was_reset(&mut self) -> bool {
        let reason = self.monitor.as_mut().and_then(Monitor::shutdown_reason);
        reason.is_some_and(|reason| reason == "guest-reset")
    }

    /// QEMU's own messages so far.
    pub(super) fn messages(&self) -> String {
        self.file("stderr").trim().into()
    }

    fn file(&self, name: &str) -> String {
        let bytes = fs::read(self.scratch.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// How much time of the CPU QEMU has used, where the system tells (Linux).
    pub fn cpu_time(&self) -> Option<Duration> {
        /// `USER_HZ`: the same on all machines.
        const TICKS_PER_SECOND: f64 = 100.0;
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name comes first, in parentheses, and may have any other character.
        let (_, fields) = text.rsplit_once(')')?;
        let ticks = fields.split_whitespace().skip(11).take(2); // in user mode, in the kernel
        let ticks: Option<Vec<f64>> = ticks.map(|field| field.parse().ok()).collect();
        let ticks: f64 = ticks?.iter().sum();
        Some(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
    }

    /// The number of QEMU's process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Whether QEMU has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until QEMU ends and returns its exit status, or `None` after the
    /// timeout.
    pub fn wait_for_end(&mut self, timeout: Duration) -> io::Result<Option<i32>> {
        let start = Instant::now();
        while start.elapsed() < timeout {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            sleep(POLL);
        }
        Ok(None)
    }

    /// Waits until `condition` is true of the serial line's output; returns false
    /// after the timeout.
    pub fn wait_for_serial(&mut self, timeout: Duration, condition: impl Fn(&str) -> bool) -> bool {
        let start = Instant::now();
        while start.elapsed() < timeout {
            if condition(&self.serial()) {
                return true;
            }
            sleep(POLL);
        }
        false
    }
}

/// The answer to `info registers`.
pub(super) struct Registers(String);

impl Registers {
    /// A register by its name.
    pub(super) fn get(&self, name: &str) -> io::Result<u64> {
        let found = self.0.split_whitespace().find_map(|word| {
            let value = word.strip_prefix(name)?.strip_prefix('=')?;
            u64::from_str_radix(value, 16).ok()
        });
        found.ok_or_else(|| io::Error::other(format!("no register {name}: {}", self.0)))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Connects to QEMU's monitor as soon as it listens; `None` if QEMU ends first.
fn connect(child: &mut Child, socket: &Path) -> io::Result<Option<Monitor>> {
    while child.try_wait()?.is_none() {
        match Monitor::connect(socket) {
            Ok(monitor) => return Ok(Some(monitor)),
            Err(_) => sleep(Duration::from_millis(5)), // not yet, or it is ending
        }
    }
    Ok(None)
}
