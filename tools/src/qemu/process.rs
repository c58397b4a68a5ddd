//! Starts QEMU so that nothing of it outlives this program.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{env, fmt};
use tempfile::TempDir;

/// The QEMU program: `$QEMU`, or the one in PATH.
pub fn program() -> String {
    env::var("QEMU").unwrap_or_else(|_| "qemu-system-x86_64".into())
}

/// A command that starts QEMU; run it with [`Scratch::spawn`].
pub fn command() -> Command {
    Command::new(program())
}

/// A path as part of a QEMU argument, where commas are doubled.
pub fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The message if QEMU could not be started.
pub fn not_started(program: &str, error: &io::Error) -> String {
    format!("{program}: {error}; `make doctor` shows how to install QEMU")
}

/// A temporary folder, and the processes that use it. When it is dropped, the
/// folder is removed.
///
/// If this program is killed before that, even by SIGKILL, a guard process ends
/// the processes and removes the folder: it waits for the end of its input, which
/// the operating system closes together with this program. That works on every
/// Unix, unlike a signal to the children (Linux's PR_SET_PDEATHSIG).
pub struct Scratch {
    // Dropped first, while the guard can still do it.
    folder: TempDir,
    guard: Guard,
}

/// Reads process numbers until the end of the input, then cleans up. It ignores
/// the signals that a terminal sends to the whole process group. A process that is
/// being killed may still create a file after `rm` has looked.
const GUARD: &str = "trap '' HUP INT QUIT TERM
while read -r process; do processes=\"$processes $process\"; done
[ -z \"$processes\" ] || kill -KILL $processes
rm -rf -- \"$1\" || { sleep 1; rm -rf -- \"$1\"; }";

struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill(); // there is nothing left to guard
        let _ = self.0.wait();
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Scratch({})", self.path().display())
    }
}

impl Scratch {
    /// Creates a folder and starts its guard.
    pub fn new() -> io::Result<Scratch> {
        let folder = tempfile::Builder::new().prefix("siso-").tempdir()?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Scratch {
            folder,
            guard: Guard(guard),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a process that ends, at the latest, with this program. Its temporary files,
    /// such as QEMU's for a snapshot, are in the folder.
    pub fn spawn(&mut self, command: &mut Command) -> io::Result<Child> {
        let child = command.env("TMPDIR", self.path()).spawn()?;
        let input = self.guard.0.stdin.as_mut().expect("its input is a pipe");
        writeln!(input, "{}", child.id())?;
        Ok(child)
    }
}
