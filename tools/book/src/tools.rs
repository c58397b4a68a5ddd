//! GNU binutils: `nm`, `objdump`, and for experiments `as` and `ld`.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// The most that a tool may say.
const OUTPUT: u64 = 64 << 20;
const MESSAGES: u64 = 64 << 10;
/// The limits of a tool that works on a file that a reader wrote: seconds, KiB of
/// memory, and blocks of 512 bytes in a file. Not every system has all of them,
/// and some shells end where one cannot be set.
const LIMITED: &str = "limit() { (ulimit \"$@\") 2>/dev/null && ulimit \"$@\"; }
limit -t 20; limit -v 2097152; limit -f 131072; exec \"$0\" \"$@\"";

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
    let about = |error: io::Error| format!("{program}: {error}");
    let mut child = Command::new("sh")
        .args(["-c", LIMITED, &program])
        .args(arguments)
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
            "{program} was stopped: it needed more than 20 s, 2 GiB of memory, or 64 MiB in a file"
        ));
    }
    if !status.success() {
        let said = String::from_utf8_lossy(&said);
        return Err(format!("{program}: {}", said.trim()));
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
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
