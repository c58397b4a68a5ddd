//! Runs a disk image in QEMU and looks at what a user sees: the screen, the
//! serial line, and whether the machine has come to rest.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

/// Where text memory starts, and how much of it the screen shows.
const TEXT: u64 = 0xb8000;
/// Characters a row.
pub const COLUMNS: usize = 80;
/// Rows of the screen.
pub const ROWS: usize = 25;
/// What QEMU's monitor ends every answer with.
const PROMPT: &[u8] = b"(qemu) ";
/// How long screen and serial line must stay the same to count as rest.
const REST: Duration = Duration::from_secs(2);
/// How often to look.
const LOOK: Duration = Duration::from_millis(200);
/// How long QEMU may take to end.
const ENDING: Duration = Duration::from_secs(5);
/// EFER: long mode active.
const EFER_LMA: u64 = 1 << 10;

/// What is said when QEMU has ended and nobody has ended it.
pub const RESET: &str = "the machine was reset or switched off: a triple fault, most likely";

/// The QEMU to use: `$QEMU`, or the one in the path.
pub fn program() -> String {
    env::var("QEMU").unwrap_or_else(|_| "qemu-system-x86_64".into())
}

/// A machine without a window, and its monitor.
pub struct Machine {
    child: Child,
    /// None where QEMU has ended before it could be reached.
    monitor: Option<UnixStream>,
    files: Files,
}

/// What a machine writes; removed with it.
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // in the folder for such things
    }
}

/// The 80x25 characters of the screen, two bytes each: code and colours.
#[derive(Clone, PartialEq, Eq)]
pub struct Screen(pub Vec<u8>);

impl Screen {
    /// A row's text, without the blanks at its end.
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

/// Why a machine did not come to rest.
#[derive(Debug)]
pub enum Failure {
    /// QEMU ended: the machine was reset, the kernel has left it, or it could
    /// not even start.
    Ended {
        /// Its exit status; none if a signal ended it.
        status: Option<i32>,
        /// What it said.
        words: String,
    },
    /// The loader has said why it starts no kernel.
    Refused(String),
    /// Long mode was not reached, or something went on changing.
    Restless {
        /// Whether the CPU was in long mode at the end.
        long_mode: bool,
        /// How long it was watched.
        after: Duration,
    },
    /// QEMU could not be talked to.
    Io(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Failure::Ended { words, .. } if !words.is_empty() => {
                write!(f, "QEMU ended: {words}")
            }
            Failure::Ended {
                status: Some(0), ..
            } => write!(f, "{RESET}"),
            Failure::Ended {
                status: Some(status),
                ..
            } => write!(f, "QEMU's exit status is {status}"),
            Failure::Ended { status: None, .. } => write!(f, "a signal has ended QEMU"),
            Failure::Refused(sentence) => write!(f, "the loader says: {sentence}"),
            Failure::Restless {
                long_mode: false,
                after,
            } => {
                write!(f, "no kernel has started after {} seconds", after.as_secs())
            }
            Failure::Restless {
                long_mode: true,
                after,
            } => write!(
                f,
                "the kernel runs, but has not come to rest after {} seconds \
                 (TIMEOUT= sets how long to wait)",
                after.as_secs()
            ),
            Failure::Io(error) => write!(f, "QEMU does not answer: {error}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}

impl Machine {
    /// Starts QEMU with these arguments, which say what it boots from.
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
        let _ = monitor.as_mut().map(read_answer); // its greeting
        Ok(Machine {
            child,
            monitor,
            files,
        })
    }

    /// The arguments for a disk image on QEMU's usual drive.
    pub fn disk(image: &Path) -> [String; 2] {
        [
            "-drive".into(),
            format!("format=raw,file={}", escaped(image)),
        ]
    }

    /// Sends a command to the monitor and returns what it says.
    pub fn command(&mut self, command: &str) -> io::Result<String> {
        let monitor = self.monitor.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(monitor, "{command}")?;
        let answer = read_answer(monitor)?;
        // The first line is the command's echo.
        Ok(answer
            .split_once('\n')
            .map_or(String::new(), |(_, rest)| rest.into()))
    }

    /// Reads physical memory.
    pub fn memory(&mut self, address: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = self.files.0.join("memory");
        let said = self.command(&format!(
            "pmemsave {address:#x} {length} \"{}\"",
            file.display()
        ))?;
        fs::read(&file).map_err(|error| io::Error::new(error.kind(), said))
    }

    /// What the screen shows in text mode.
    pub fn screen(&mut self) -> io::Result<Screen> {
        self.memory(TEXT, ROWS * COLUMNS * 2).map(Screen)
    }

    /// A register by the name that the monitor's `info registers` gives it.
    pub fn register(&mut self, name: &str) -> io::Result<u64> {
        let registers = self.command("info registers")?;
        let found = registers.split_whitespace().find_map(|word| {
            let value = word.strip_prefix(name)?.strip_prefix('=')?;
            u64::from_str_radix(value, 16).ok()
        });
        found.ok_or_else(|| io::Error::other(format!("no register {name}: {registers}")))
    }

    /// What has come over the serial line.
    pub fn serial(&self) -> String {
        self.file("serial")
    }

    /// What was written to port 0xE9.
    pub fn debug_port(&self) -> String {
        self.file("debug")
    }

    fn file(&self, name: &str) -> String {
        let bytes = fs::read(self.files.0.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// Has QEMU ended?
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until QEMU ends, and returns its exit status, or `None` after
    /// the time.
    pub fn wait_for_end(&mut self, timeout: Duration) -> io::Result<Option<i32>> {
        let start = Instant::now();
        while start.elapsed() < timeout {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            sleep(LOOK);
        }
        Ok(None)
    }

    /// Waits until `seen` is true of the serial line; false after the time.
    pub fn wait_for_serial(&mut self, timeout: Duration, seen: impl Fn(&str) -> bool) -> bool {
        let start = Instant::now();
        while start.elapsed() < timeout {
            if seen(&self.serial()) {
                return true;
            }
            sleep(LOOK);
        }
        false
    }

    /// Waits until the kernel has started and nothing changes any more: the
    /// CPU is in long mode, and screen and serial line have been the same for
    /// two seconds.
    pub fn wait_for_rest(&mut self, timeout: Duration) -> Result<Screen, Failure> {
        let start = Instant::now();
        let mut since = start;
        let mut before = None;
        let mut long_mode = false;
        while start.elapsed() < timeout {
            match self.look() {
                Ok((efer, screen)) => {
                    long_mode = efer & EFER_LMA != 0;
                    let now = Some((long_mode, screen, self.serial()));
                    if now != before {
                        (since, before) = (Instant::now(), now);
                    } else if since.elapsed() >= REST
                        && let Some((_, screen, serial)) = now
                    {
                        if long_mode {
                            return Ok(screen);
                        } else if let Some(sentence) = refusal(&serial) {
                            return Err(Failure::Refused(sentence.into()));
                        }
                    }
                }
                Err(error) => {
                    let _ = self.wait_for_end(ENDING)?; // it may be about to
                    return Err(match self.child.try_wait()? {
                        Some(status) => Failure::Ended {
                            status: status.code(),
                            words: self.file("stderr").trim().into(),
                        },
                        None => Failure::Io(error),
                    });
                }
            }
            sleep(LOOK);
        }
        Err(Failure::Restless {
            long_mode,
            after: timeout,
        })
    }

    fn look(&mut self) -> io::Result<(u64, Screen)> {
        Ok((self.register("EFER")?, self.screen()?))
    }

    /// Writes a picture of the screen, as PNG.
    pub fn picture(&mut self, file: &Path) -> io::Result<()> {
        let said = self.command(&format!("screendump \"{}\" -f png", file.display()))?;
        match said.trim() {
            "" => Ok(()),
            said => Err(io::Error::other(said.to_string())),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// The loader's error, if that is what it said last: a code, then words; after
/// it comes a line of its own.
fn refusal(serial: &str) -> Option<&str> {
    let before = serial.trim_end().strip_suffix("press a key")?;
    let last = before.trim_end().lines().next_back()?;
    let code = last.strip_prefix('E')?.split(' ').next()?;
    code.parse::<u32>().ok().map(|_| last)
}

/// A file's name in an argument of QEMU: a comma is written twice.
pub fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Connects to QEMU's monitor, as soon as it is there.
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

/// A new folder of our own among the system's temporary files.
pub fn temporary_folder() -> io::Result<PathBuf> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("siso-{}-{number}", std::process::id()));
        match fs::create_dir(&folder) {
            // Left by another process that had our number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let words = format!("{}: {error}", folder.display());
                return Err(io::Error::new(error.kind(), words));
            }
            Ok(()) => return Ok(folder),
        }
    }
}
