//! `siso-image test`: boots a self-testing kernel, without a window.
//!
//! The kernel's output on the serial line is printed as it arrives. The kernel
//! exits QEMU through the device `isa-debug-exit`; only the success exit status
//! counts as success. The time limit ends a hang; a triple fault ends QEMU.

use crate::manifest::Manifest;
use crate::qemu::{self, RESET, Scratch, not_started, program};
use std::io::{self, BufRead, BufReader, Read, Write, stdout};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// QEMU's arguments if the kernel's manifest has none: the exit device and the
/// serial line.
const ARGUMENTS: [&str; 6] = [
    "-device",
    "isa-debug-exit,iobase=0xf4,iosize=0x04",
    "-serial",
    "stdio",
    "-display",
    "none",
];
/// The loader's last message before the kernel starts.
const LAST_LOADER_MESSAGE: &str = "long mode, entry";
/// How often to check whether QEMU has ended.
const POLL: Duration = Duration::from_millis(10);

/// Whether `cargo test` built this file. Then its name ends with a dash and 16
/// hexadecimal digits, unlike those that `cargo run` uses; or rustdoc built it for
/// a doc test, in a folder whose name begins with `rustdoctest`.
pub fn is_test(kernel: &Path) -> bool {
    let folders = kernel.ancestors().skip(1).filter_map(Path::file_name);
    if folders
        .map(|name| name.to_string_lossy())
        .any(|name| name.starts_with("rustdoctest"))
    {
        return true;
    }
    let stem = kernel.file_stem().unwrap_or_default().to_string_lossy();
    let hash = stem.rsplit_once('-').map_or("", |(_, hash)| hash);
    hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Boots an image and waits for the kernel's exit status. `flags` are more
/// arguments for QEMU; `limit` overrides the manifest's time limit.
pub fn run(
    scratch: &mut Scratch,
    image: &Path,
    manifest: &Manifest,
    limit: Option<Duration>,
    flags: &[String],
) -> Result<(), String> {
    let limit = limit.unwrap_or(manifest.test_timeout);
    let mut command = qemu::command();
    command.args(qemu::disk(image));
    if manifest.test_no_reboot {
        command.arg("-no-reboot");
    }
    match &manifest.test_args {
        Some(arguments) => command.args(arguments),
        None => command.args(ARGUMENTS),
    };
    command
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = scratch
        .spawn(&mut command)
        .map_err(|error| not_started(&error))?;
    let output = child.stdout.take().expect("stdout is piped");
    let printer = thread::spawn(move || print(output));
    let ended = wait(&mut child, limit).map_err(|error| format!("{}: {error}", program()));
    let _ = printer.join(); // it ends when QEMU does
    match ended?.map(|status| status.code()) {
        None => Err(format!("not finished after {} seconds", limit.as_secs())),
        Some(Some(status)) if status == manifest.test_success_exit_code => Ok(()),
        Some(Some(0)) => Err(RESET.into()),
        Some(Some(status)) => Err(format!(
            "failed: QEMU's exit status is {status}; on success it would be {}",
            manifest.test_success_exit_code
        )),
        Some(None) => Err("a signal ended QEMU".into()),
    }
}

/// Waits until QEMU ends; kills it after the time limit and returns `None`.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        sleep(POLL);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Prints the kernel's output as it arrives; the loader's output only if no
/// kernel starts.
fn print(output: impl Read) {
    let mut output = BufReader::new(output);
    let mut loader = Vec::new();
    loop {
        let line = loader.len();
        if output.read_until(b'\n', &mut loader).is_err() || loader.len() == line {
            return show(&loader);
        }
        if String::from_utf8_lossy(&loader[line..]).contains(LAST_LOADER_MESSAGE) {
            break;
        }
    }
    // Read to the end even if printing fails, so that QEMU does not block.
    while let Ok(bytes) = output.fill_buf() {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        show(bytes);
        output.consume(length);
    }
}

/// Writes bytes to the terminal, without the carriage returns of a serial
/// line.
fn show(bytes: &[u8]) {
    let bytes: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|&byte| byte != b'\r')
        .collect();
    let mut stdout = stdout().lock();
    let _ = stdout.write_all(&bytes).and_then(|()| stdout.flush()); // see above
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_recognised_by_their_names() {
        for (file, expected) in [
            ("target/debug/deps/os-0123456789abcdef", true),
            (
                "target/x/debug/build/os/236e27e64293b2fd/out/os-236e27e64293b2fd",
                true,
            ),
            ("/tmp/rustdoctestAb12Cd/rust_out", true),
            ("/tmp/rustdoctestAb12Cd/doctest_bundle_2024/rust_out", true),
            ("target/debug/os", false),
            ("target/debug/my-os", false),
            ("target/debug/rust_out", false),
            ("target/debug/examples/page-0123456789abcdeg", false),
        ] {
            assert_eq!(is_test(Path::new(file)), expected, "{file}");
        }
    }
}
