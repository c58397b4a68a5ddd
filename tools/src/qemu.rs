//! Runs a disk image in QEMU and observes what a user would see: the screen, the
//! serial line, and whether the kernel has halted.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

/// The address of text memory.
const TEXT: u64 = 0xb8000;
/// Characters per row.
pub const COLUMNS: usize = 80;
/// Rows on the screen.
pub const ROWS: usize = 25;
/// The prompt of QEMU's monitor, which follows every answer.
const PROMPT: &[u8] = b"(qemu) ";
/// How long screen and serial line must stay unchanged for the kernel to count as
/// halted.
const UNCHANGED: Duration = Duration::from_secs(2);
/// The interval of polls.
const POLL: Duration = Duration::from_millis(200);
/// How long QEMU may take to exit.
const EXIT_TIME: Duration = Duration::from_secs(5);
/// EFER: long mode active.
const EFER_LMA: u64 = 1 << 10;

/// The message if QEMU ended with status 0.
pub const RESET: &str =
    "the machine was reset or switched off, most likely because of a triple fault";

/// The QEMU program: `$QEMU`, or the one in PATH.
pub fn program() -> String {
    env::var("QEMU").unwrap_or_else(|_| "qemu-system-x86_64".into())
}

/// A QEMU process without a window, and its monitor.
pub struct Machine {
    child: Child,
    /// `None` if QEMU ended before the connection was made.
    monitor: Option<UnixStream>,
    files: Files,
}

/// The folder of the machine's output files; removed with it.
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // temporary, so a failure is harmless
    }
}

/// The screen's 80x25 characters, two bytes each: code and colours.
#[derive(Clone, PartialEq, Eq)]
pub struct Screen(pub Vec<u8>);

impl Screen {
    /// The text of a row, without trailing blanks.
    pub fn row(&self, row: usize) -> String {
        let (cells, _) = self.0[row * COLUMNS * 2..][..COLUMNS * 2].as_chunks::<2>();
        let text: String = cells.iter().map(|cell| printable(cell[0])).collect();
        text.trim_end().into()
    }

    /// The colours of a character: background << 4 | foreground.
    pub fn attribute(&self, row: usize, column: usize) -> u8 {
        self.0[(row * COLUMNS + column) * 2 + 1]
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let line = "-".repeat(COLUMNS);
        writeln!(f, "+{line}+")?;
        for row in 0..ROWS {
            writeln!(f, "|{:COLUMNS$}|", self.row(row))?;
        }
        write!(f, "+{line}+")
    }
}

fn printable(code: u8) -> char {
    match code {
        0x20..0x7f => code as char,
        0 => ' ',
        _ => '?',
    }
}

/// Why a kernel did not halt.
#[derive(Debug)]
pub enum Failure {
    /// QEMU ended: the machine was reset, the kernel exited QEMU, or QEMU could
    /// not start.
    Ended {
        /// QEMU's exit status; `None` if a signal ended it.
        status: Option<i32>,
        /// QEMU's error message.
        message: String,
    },
    /// The loader reported an error instead of starting the kernel.
    LoaderError(String),
    /// The CPU did not reach long mode, or the output kept changing.
    NotHalted {
        /// Whether the CPU was in long mode at the end.
        long_mode: bool,
        /// How long it was observed.
        after: Duration,
    },
    /// Communication with QEMU failed.
    Io(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Ended { message, .. } if !message.is_empty() => {
                write!(f, "QEMU ended: {message}")
            }
            Failure::Ended {
                status: Some(0), ..
            } => write!(f, "{RESET}"),
            Failure::Ended {
                status: Some(status),
                ..
            } => write!(f, "QEMU's exit status is {status}"),
            Failure::Ended { status: None, .. } => write!(f, "a signal ended QEMU"),
            Failure::LoaderError(error) => write!(f, "the loader reports: {error}"),
            Failure::NotHalted {
                long_mode: false,
                after,
            } => {
                write!(f, "no kernel started within {} seconds", after.as_secs())
            }
            Failure::NotHalted {
                long_mode: true,
                after,
            } => write!(
                f,
                "the kernel runs, but did not halt within {} seconds \
                 (TIMEOUT=seconds sets the limit)",
                after.as_secs()
            ),
            Failure::Io(error) => write!(f, "QEMU does not respond: {error}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

impl Machine {
    /// Starts QEMU with these arguments, which include the boot device.
    pub fn start(arguments: &[impl AsRef<str>]) -> io::Result<Machine> {
        let files = Files(temporary_folder()?);
        let file = |kind: &str, name: &str| format!("{kind}{}", escaped(&files.0.join(name)));
        let socket = files.0.join("monitor");
        let mut child = Command::new(program())
            .args(["-display", "none", "-no-reboot"])
            .args([
                "-monitor",
                &(file("unix:", "monitor") + ",server=on,wait=off"),
                "-serial",
                &file("file:", "serial"),
                "-debugcon",
                &file("file:", "debug"),
            ])
            .args(arguments.iter().map(AsRef::as_ref))
            .stdin(Stdio::null())
            .stderr(fs::File::create(files.0.join("stderr"))?)
            .spawn()?;
        let mut monitor = connect(&mut child, &socket)?;
        let _ = monitor.as_mut().map(read_answer); // the greeting
        Ok(Machine {
            child,
            monitor,
            files,
        })
    }

    /// The arguments for a disk image on QEMU's default drive.
    pub fn disk(image: &Path) -> [String; 2] {
        [
            "-drive".into(),
            format!("format=raw,file={}", escaped(image)),
        ]
    }

    /// Sends a command to the monitor and returns the answer.
    pub fn command(&mut self, command: &str) -> io::Result<String> {
        let monitor = self.monitor.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(monitor, "{command}")?;
        let answer = read_answer(monitor)?;
        // The first line echoes the command.
        Ok(answer
            .split_once('\n')
            .map_or(String::new(), |(_, rest)| rest.into()))
    }

    /// Reads physical memory.
    pub fn memory(&mut self, address: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = self.files.0.join("memory");
        let answer = self.command(&format!(
            "pmemsave {address:#x} {length} \"{}\"",
            file.display()
        ))?;
        fs::read(&file).map_err(|error| io::Error::new(error.kind(), answer))
    }

    /// The screen in text mode.
    pub fn screen(&mut self) -> io::Result<Screen> {
        self.memory(TEXT, ROWS * COLUMNS * 2).map(Screen)
    }

    /// A register, by its name in the monitor's `info registers`.
    pub fn register(&mut self, name: &str) -> io::Result<u64> {
        let registers = self.command("info registers")?;
        let found = registers.split_whitespace().find_map(|word| {
            let value = word.strip_prefix(name)?.strip_prefix('=')?;
            u64::from_str_radix(value, 16).ok()
        });
        found.ok_or_else(|| io::Error::other(format!("no register {name}: {registers}")))
    }

    /// The output on the serial line so far.
    pub fn serial(&self) -> String {
        self.file("serial")
    }

    /// The output to port 0xE9 so far.
    pub fn debug_port(&self) -> String {
        self.file("debug")
    }

    fn file(&self, name: &str) -> String {
        let bytes = fs::read(self.files.0.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
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

    /// Waits until the kernel has started and halted: the CPU is in long mode, and
    /// screen and serial line have not changed for two seconds. A kernel that
    /// loops without output also counts as halted.
    pub fn wait_for_halt(&mut self, timeout: Duration) -> Result<Screen, Failure> {
        let start = Instant::now();
        let mut since = start;
        let mut before = None;
        let mut long_mode = false;
        while start.elapsed() < timeout {
            match self.observe() {
                Ok((efer, screen)) => {
                    long_mode = efer & EFER_LMA != 0;
                    let now = Some((long_mode, screen, self.serial()));
                    if now != before {
                        (since, before) = (Instant::now(), now);
                    } else if since.elapsed() >= UNCHANGED
                        && let Some((_, screen, serial)) = now
                    {
                        if long_mode {
                            return Ok(screen);
                        } else if let Some(error) = loader_error(&serial) {
                            return Err(Failure::LoaderError(error.into()));
                        }
                    }
                }
                Err(error) => {
                    let _ = self.wait_for_end(EXIT_TIME)?; // it may be exiting
                    return Err(match self.child.try_wait()? {
                        Some(status) => Failure::Ended {
                            status: status.code(),
                            message: self.file("stderr").trim().into(),
                        },
                        None => Failure::Io(error),
                    });
                }
            }
            sleep(POLL);
        }
        Err(Failure::NotHalted {
            long_mode,
            after: timeout,
        })
    }

    fn observe(&mut self) -> io::Result<(u64, Screen)> {
        Ok((self.register("EFER")?, self.screen()?))
    }

    /// Writes a screenshot as a PNG file.
    pub fn screenshot(&mut self, file: &Path) -> io::Result<()> {
        let answer = self.command(&format!("screendump \"{}\" -f png", file.display()))?;
        match answer.trim() {
            "" => Ok(()),
            error => Err(io::Error::other(error.to_string())),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}

/// The loader's error, if it is the last message: a code, then a sentence,
/// followed by a prompt.
fn loader_error(serial: &str) -> Option<&str> {
    let before = serial.trim_end().strip_suffix("press a key")?;
    let last = before.trim_end().lines().next_back()?;
    let code = last.strip_prefix('E')?.split(' ').next()?;
    code.parse::<u32>().ok().map(|_| last)
}

/// A path as part of a QEMU argument, where commas are doubled.
pub fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Connects to QEMU's monitor as soon as it listens; `None` if QEMU ends first.
fn connect(child: &mut Child, socket: &Path) -> io::Result<Option<UnixStream>> {
    while child.try_wait()?.is_none() {
        if let Ok(monitor) = UnixStream::connect(socket) {
            return Ok(Some(monitor));
        }
        sleep(Duration::from_millis(5));
    }
    Ok(None)
}

fn read_answer(from: &mut impl Read) -> io::Result<String> {
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    while !answer.ends_with(PROMPT) {
        match from.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend(&bytes[..count]),
        }
    }
    answer.truncate(answer.len() - PROMPT.len());
    Ok(String::from_utf8_lossy(&answer).replace('\r', ""))
}

/// Creates a new temporary folder.
pub fn temporary_folder() -> io::Result<PathBuf> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("siso-{}-{number}", std::process::id()));
        match fs::create_dir(&folder) {
            // Left over from another process with the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let message = format!("{}: {error}", folder.display());
                return Err(io::Error::new(error.kind(), message));
            }
            Ok(()) => return Ok(folder),
        }
    }
}
