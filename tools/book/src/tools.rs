//! GNU binutils: `nm`, `objdump`, and for experiments `as` and `ld`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// The most that a tool may say.
const OUTPUT: u64 = 64 << 20;
const MESSAGES: u64 = 64 << 10;

/// The limits of a tool that works on a file that a reader wrote, for each of its
/// processes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Seconds of the CPU.
    pub seconds: u64,
    /// MiB of memory.
    pub memory: u64,
    /// MiB in a file.
    pub file: u64,
}

/// Those of GNU binutils.
const BINUTILS: Limits = Limits {
    seconds: 20,
    memory: 2 << 10,
    file: 64,
};

/// What a tool said.
#[derive(Debug)]
pub struct Said {
    /// Whether its exit status was 0.
    pub good: bool,
    /// Its output.
    pub output: String,
    /// Its messages.
    pub messages: String,
}

/// Runs one of the tools and returns its output. On a host of another architecture,
/// the tools for x86-64 have a prefix. A file that makes a tool run, grow, write or
/// talk without end is an error as any other.
pub fn binutil(name: &str, arguments: &[&str]) -> Result<String, String> {
    let prefix = if cfg!(target_arch = "x86_64") {
        ""
    } else {
        "x86_64-linux-gnu-"
    };
    let program = format!("{prefix}{name}");
    let said = limited(&program, BINUTILS, |command| {
        command.args(arguments);
    })?;
    match said.good {
        true => Ok(said.output),
        false => Err(format!("{program}: {}", said.messages.trim())),
    }
}

/// Runs a program with limits; `prepare` adds arguments and all else. It is an error if a
/// limit ends it.
pub fn limited(
    program: &str,
    limits: Limits,
    prepare: impl FnOnce(&mut Command),
) -> Result<Said, String> {
    let about = |error: io::Error| format!("{program}: {error}");
    let Limits {
        seconds,
        memory,
        file,
    } = limits;
    // KiB of memory, and blocks of 512 bytes in a file. Not every system has all of them,
    // and some shells end where one cannot be set.
    let script = format!(
        "limit() {{ (ulimit \"$@\") 2>/dev/null && ulimit \"$@\"; }}
limit -t {seconds}; limit -v {}; limit -f {}; exec \"$0\" \"$@\"",
        memory << 10,
        file << 11
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script, program]);
    prepare(&mut command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(about)?;
    let (mut stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // What is not read is refused: the pipe closes.
    let said = thread::spawn(move || {
        let mut said = Vec::new();
        let read = stderr.map(|pipe| pipe.take(MESSAGES).read_to_end(&mut said));
        read.transpose().map(|_| said)
    });
    let mut output = Vec::new();
    if let Some(pipe) = stdout.take() {
        let read = pipe.take(OUTPUT).read_to_end(&mut output);
        read.map_err(about)?;
    }
    let said = said
        .join()
        .expect("reading does not panic")
        .map_err(about)?;
    let status = child.wait().map_err(about)?;
    if status.code().is_none() {
        return Err(format!(
            "{program} was stopped: it needed more than {seconds} s, {} GiB of memory, or {file} MiB in a file",
            memory >> 10
        ));
    }
    Ok(Said {
        good: status.success(),
        output: String::from_utf8_lossy(&output).into_owned(),
        messages: String::from_utf8_lossy(&said).into_owned(),
    })
}

/// A file with the linked loader, in this folder.
pub fn loader_elf(folder: &Path) -> Result<PathBuf, String> {
    let file = folder.join("loader.elf");
    std::fs::write(&file, siso_image::LOADER_ELF).map_err(|error| error.to_string())?;
    Ok(file)
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("paths of temporary files are UTF-8")
}
