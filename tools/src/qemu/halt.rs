//! Whether a kernel has started and halted, and if not, why.

use super::echo::Seen;
use super::idle_loop::{self, never_ends};
use super::machine::{Machine, POLL};
use super::screen::Screen;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fmt, io};

/// How long screen and serial line must stay unchanged for the kernel to count as
/// halted, if the CPU waits for interrupts; and for the loader's error to be its last word.
pub const UNCHANGED_WAITING: Duration = Duration::from_secs(2);
/// The same if the CPU executes instructions. On a busy host, a loader that still
/// works may be silent for seconds.
const UNCHANGED_LOOPING: Duration = Duration::from_secs(8);
/// How long QEMU may take to exit.
const EXIT_TIME: Duration = Duration::from_secs(5);
/// EFER: long mode is active.
pub const EFER_LMA: u64 = 1 << 10;
/// RFLAGS: interrupts are enabled.
pub const RFLAGS_IF: u64 = 1 << 9;

/// The message if QEMU ended with status 0.
pub const RESET: &str = "the machine was reset, most likely because of a triple fault";

/// Why a kernel did not halt.
#[derive(Debug)]
pub enum Failure {
    /// QEMU ended: the machine was reset, the kernel exited QEMU, or QEMU could
    /// not start.
    Ended {
        /// QEMU's exit status; `None` if a signal ended it.
        status: Option<i32>,
        /// Whether the guest asked for a reset.
        reset: bool,
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
                status: Some(0),
                reset,
                ..
            } => f.write_str(if *reset {
                RESET
            } else {
                "the machine was switched off"
            }),
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

/// What is observed at each poll.
#[derive(PartialEq)]
struct Observed {
    cpu: Cpu,
    screen: Screen,
    output: Seen,
}

/// How the CPU stands.
#[derive(Clone, Copy, PartialEq)]
struct Cpu {
    long_mode: bool,
    /// It has executed HLT and waits for an interrupt.
    waits: bool,
    /// It takes no interrupts, and is halted or in a loop that does nothing.
    stopped: bool,
}

impl Machine {
    /// Waits until the kernel has started and halted; see [`Machine::watch`].
    pub fn wait_for_halt(&mut self, timeout: Duration) -> Result<Screen, Failure> {
        self.watch(timeout, Some(timeout), |_, _| {})
    }

    /// Waits until the kernel has started, within the time `start`, and halted,
    /// within the time `limit`, if there is one. Each time it looks, it shows
    /// `show` the screen and the output.
    ///
    /// A CPU that is halted, or in a loop that does nothing, has stopped for good if it
    /// takes no interrupts. Otherwise, the CPU must be in long mode, and screen and output
    /// unchanged, for two seconds if it waits for interrupts, and for eight if it loops.
    pub fn watch(
        &mut self,
        start: Duration,
        limit: Option<Duration>,
        mut show: impl FnMut(&Screen, &Seen),
    ) -> Result<Screen, Failure> {
        let begin = Instant::now();
        let mut since = begin;
        let mut before = None;
        let mut long_mode = false;
        loop {
            let limit = if long_mode { limit } else { Some(start) };
            if let Some(after) = limit.filter(|&limit| begin.elapsed() >= limit) {
                return Err(Failure::NotHalted { long_mode, after });
            }
            match self.observe() {
                Ok(now) => {
                    long_mode = now.cpu.long_mode;
                    if long_mode && now.cpu.stopped {
                        return Ok(now.screen);
                    }
                    if before.as_ref() != Some(&now) {
                        since = Instant::now();
                    } else if long_mode && since.elapsed() >= now.cpu.unchanged() {
                        return Ok(now.screen);
                    } else if since.elapsed() >= UNCHANGED_WAITING
                        && let Some(error) =
                            loader_error(&String::from_utf8_lossy(&now.output.recent))
                    {
                        return Err(Failure::LoaderError(error));
                    }
                    show(&now.screen, &now.output);
                    before = Some(now);
                }
                Err(error) => {
                    let _ = self.wait_for_end(EXIT_TIME)?; // it may be exiting
                    return Err(match self.child.try_wait()? {
                        Some(status) => Failure::Ended {
                            status: status.code(),
                            reset: self.was_reset(),
                            message: self.messages(),
                        },
                        None => Failure::Io(error),
                    });
                }
            }
            sleep(POLL);
        }
    }

    /// The output is read last, so that it is complete if the CPU has halted.
    fn observe(&mut self) -> io::Result<Observed> {
        let registers = self.registers()?;
        let long_mode = registers.get("EFER")? & EFER_LMA != 0;
        let waits = registers.get("HLT")? != 0;
        let interrupts = registers.get("RFL").or(registers.get("EFL"))? & RFLAGS_IF != 0;
        // QEMU shows RIP in 64-bit code only.
        let loops = |machine: &mut Machine| {
            let rip = registers.get("RIP");
            rip.is_ok_and(|rip| never_ends(rip, |at| machine.code(at)))
        };
        let stopped = !interrupts && (waits || loops(self));
        let cpu = Cpu {
            long_mode,
            waits,
            stopped,
        };
        Ok(Observed {
            cpu,
            screen: self.screen()?,
            output: self.output(),
        })
    }

    /// The bytes at an address of the kernel, if they can be read.
    fn code(&mut self, address: u64) -> Option<[u8; idle_loop::BYTES]> {
        let bytes = self.virtual_memory(address, idle_loop::BYTES).ok()?;
        bytes.try_into().ok()
    }
}

impl Cpu {
    /// How long the output must stay unchanged.
    fn unchanged(self) -> Duration {
        match self.waits {
            true => UNCHANGED_WAITING,
            false => UNCHANGED_LOOPING,
        }
    }
}

/// The loader's error in the text of a console, if it is the last message: a code,
/// then a sentence, followed by a prompt.
pub fn loader_error(text: &str) -> Option<String> {
    let text = text.replace('\r', "");
    let before = text.trim_end().strip_suffix("press a key")?;
    let last = before.trim_end().lines().next_back()?;
    let code = last.strip_prefix('E')?.split(' ').next()?;
    code.parse::<u32>().ok().map(|_| last.into())
}
