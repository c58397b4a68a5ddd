//! `siso-image test`: boots a self-testing kernel, without a window.
//!
//! The kernel's output on the serial line is printed as it arrives. The kernel
//! exits QEMU through the device `isa-debug-exit`; only the success exit status
//! counts as success. The time limit ends a hang; a triple fault ends QEMU; an error
//! of the loader ends the test.

use crate::manifest::Manifest;
use crate::qemu::arguments::Kind;
use crate::qemu::{Echo, Failure, Launch, Scratch, UNCHANGED_WAITING, loader_error, not_started};
use crate::run::exit_status;
use std::io;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often to check whether QEMU has ended.
const POLL: Duration = Duration::from_millis(10);
/// The message if QEMU ended with status 0.
const NO_EXIT: &str =
    "the machine was reset or switched off, most likely because of a triple fault";

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

/// Why a test failed.
#[derive(Debug)]
pub struct Failed {
    /// The exit status for it: QEMU's, or 1 where that would mean success, or where
    /// there is none.
    pub status: u8,
    /// What happened.
    pub message: String,
    /// Whether the guest died or hung, so that `siso-image why` can explain it.
    pub died: bool,
}

impl Failed {
    /// The guest died or hung.
    pub fn died(message: impl Into<String>) -> Failed {
        Failed {
            status: 1,
            message: message.into(),
            died: true,
        }
    }
}

/// The device through which a test ends QEMU.
pub const EXIT_DEVICE: &str = "isa-debug-exit,iobase=0xf4,iosize=0x04";

impl From<String> for Failed {
    fn from(message: String) -> Self {
        Failed {
            status: 1,
            message,
            died: false,
        }
    }
}

/// Boots an image and waits for the kernel's exit status. `limit` overrides the
/// manifest's time limit.
pub fn run(
    scratch: &mut Scratch,
    mut launch: Launch,
    manifest: &Manifest,
    limit: Option<Duration>,
) -> Result<(), Failed> {
    let limit = limit.unwrap_or(manifest.test_timeout);
    // The manifest's `test-args` are instead of these.
    if manifest.test_args.is_none() {
        launch.add(Kind::ExitDevice, &["-device", EXIT_DEVICE]);
        launch.add(Kind::Serial, &["-serial", "stdio"]);
        launch.add(Kind::Display, &["-display", "none"]);
    }
    let mut child = scratch
        .spawn(launch.command().stdin(Stdio::null()).stdout(Stdio::piped()))
        .map_err(|error| not_started(launch.program(), &error))?;
    let output = child.stdout.take().expect("stdout is piped");
    let mut echo = Echo::new(output);
    let end = wait(&mut child, &echo, limit);
    let end = end.map_err(|error| format!("{}: {error}", launch.program()));
    echo.finish();
    let status = match end? {
        End::Exit(status) => status,
        End::Error(error) => return Err(Failure::LoaderError(error).to_string().into()),
        End::Limit => {
            let message = format!("not finished after {} seconds", limit.as_secs());
            return Err(Failed::died(message));
        }
    };
    match status.code() {
        Some(status) if status == manifest.test_success_exit_code => Ok(()),
        Some(0) => Err(Failed::died(NO_EXIT)),
        Some(status) => Err(Failed {
            status: exit_status(status),
            message: format!(
                "failed: QEMU's exit status is {status}; on success it would be {}",
                manifest.test_success_exit_code
            ),
            died: false,
        }),
        None => Err(format!("{}: {status}", launch.program()).into()),
    }
}

/// How a test ended.
enum End {
    /// QEMU ended by itself.
    Exit(ExitStatus),
    /// The loader reported an error, and waits for a key.
    Error(String),
    /// The time was over.
    Limit,
}

/// Waits until QEMU ends; kills it after the time limit, and when the loader has
/// reported an error.
fn wait(child: &mut Child, echo: &Echo, limit: Duration) -> io::Result<End> {
    let start = Instant::now();
    let (mut seen, mut since) = (echo.seen(), start);
    let end = loop {
        if let Some(status) = child.try_wait()? {
            return Ok(End::Exit(status));
        }
        if start.elapsed() >= limit {
            break End::Limit;
        }
        let now = echo.seen();
        if now != seen {
            (seen, since) = (now, Instant::now());
        } else if since.elapsed() >= UNCHANGED_WAITING
            && let Some(error) = loader_error(&String::from_utf8_lossy(&seen.recent))
        {
            break End::Error(error);
        }
        sleep(POLL);
    };
    child.kill()?;
    child.wait()?;
    Ok(end)
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
