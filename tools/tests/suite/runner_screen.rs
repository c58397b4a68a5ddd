//! A run without a display and without a terminal: the serial line as it comes, and
//! the screen.

use crate::common::runner::{command, package, siso_image};
use crate::common::{Folder, LONG, kernel, path};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A kernel that halts: its serial line, then its screen, once.
#[test]
fn a_kernel_that_halts() {
    let (output, said) = siso_image(&["run", path(&kernel("release/siso_os"))], &[]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("|Hello World!  ").count(), 1, "{said}");
    let serial = said.find("Hello World! This is the kernel");
    assert!(serial < said.find("|Hello World!  "), "{said}");
    assert!(said.trim_start().starts_with("siso_os: stage 2"), "{said}");
}

/// A kernel that never halts runs until somebody ends it; its lines are printed as
/// they come, and its screen now and then.
#[test]
fn a_kernel_that_never_halts() {
    let mut child = command()
        .args(["run", path(&kernel("seconds"))])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the image builder starts");
    let output = child.stdout.take().expect("stdout is piped");
    let start = Instant::now();
    let (mut lines, mut screens) = (0, 0);
    for line in BufReader::new(output).lines() {
        let line = line.expect("the output is text");
        lines += u32::from(line.starts_with("second "));
        screens += u32::from(line.starts_with("|second "));
        if screens == 2 || start.elapsed() > LONG {
            break;
        }
    }
    let ended = child.try_wait().expect("it can be waited for");
    child.kill().expect("it runs");
    child.wait().expect("it can be waited for");
    assert_eq!(ended, None, "it still ran");
    assert_eq!(screens, 2, "after {lines} lines");
    assert!(lines >= 3, "{lines} lines before the second screen");
}

/// What is piped in reaches the serial line.
#[test]
fn standard_input() {
    let folder = Folder::new();
    let file = folder.0.join("input");
    fs::write(&file, "\x01c\nquit\n").expect("a file can be written");
    let mut child = command()
        .args(["run", path(&kernel("seconds")), "-serial", "mon:stdio"])
        .stdin(fs::File::open(&file).expect("it can be opened"))
        .stdout(Stdio::null())
        .spawn()
        .expect("the image builder starts");
    // Control-A c leads to QEMU's monitor, where `quit` ends QEMU.
    let start = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() && start.elapsed() < LONG {
        sleep(Duration::from_millis(50));
    }
    let ended = child.try_wait().expect("it can be waited for");
    let _ = child.kill(); // it may have ended
    let status = child.wait().expect("it can be waited for");
    assert!(ended.is_some() && status.success(), "{status}");
}

/// A time limit ends it without a failure, like closing QEMU's window.
#[test]
fn a_time_limit() {
    let limit = [("TIMEOUT", "5")];
    let (output, said) = siso_image(&["run", path(&kernel("seconds"))], &limit);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("\nsecond 1\n"), "{said}");
    assert!(said.contains("|second "), "{said}");
    let words = "the kernel still ran after 5 seconds, its time limit";
    assert!(said.contains(words), "{said}");
}

/// If a user leads the serial line elsewhere, the runner cannot know whether the
/// kernel is at rest, so QEMU runs until somebody ends it.
#[test]
fn a_serial_line_that_leads_elsewhere() {
    let folder = Folder::new();
    let file = folder.0.join("serial");
    let mut child = command()
        .args(["run", path(&kernel("release/siso_os"))])
        .args(["-serial", &format!("file:{}", path(&file))])
        .stdout(Stdio::null())
        .spawn()
        .expect("the image builder starts");
    let start = Instant::now();
    let seen = || fs::read_to_string(&file).unwrap_or_default();
    while !seen().contains("Hello World!") && start.elapsed() < LONG {
        sleep(Duration::from_millis(50));
    }
    sleep(Duration::from_secs(3)); // the kernel has halted, and a watched run would end
    let ended = child.try_wait().expect("it can be waited for");
    child.kill().expect("it runs");
    child.wait().expect("it can be waited for");
    assert_eq!(ended, None);
    assert!(seen().contains("Hello World!"), "{}", seen());
}

/// `--quiet` and the key `quiet` leave out the loader's lines.
#[test]
fn a_quiet_loader() {
    let file = kernel("release/siso_os");
    let folder = package("[package.metadata.siso-image]\nquiet = true");
    for (words, folder) in [
        (&["run", "--quiet", path(&file)][..], "/nonexistent"),
        (&["run", path(&file), "--quiet"], "/nonexistent"),
        (&["run", path(&file)], path(&folder.0)),
    ] {
        let mut command = command();
        if folder != "/nonexistent" {
            command.env("CARGO_MANIFEST_DIR", folder);
        }
        let output = command.args(words).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{words:?}: {said}");
        assert!(
            said.starts_with("Hello World! This is"),
            "{words:?}: {said}"
        );
    }
    let settings = [("QEMU_FLAGS", "-cpu qemu32")];
    let (output, said) = siso_image(&["run", "--quiet", path(&file)], &settings);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("\nE4 this CPU has no 64-bit mode"), "{said}");
}
