//! `siso-image test` and `siso-image run`, as Cargo calls them: their output and
//! exit status.

use crate::common::runner::{
    command, command_that_can_be_interrupted, package, script, siso_image,
};
use crate::common::{Folder, LONG, kernel, path};
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Only the kernel's output is printed, and the command succeeds.
#[test]
fn a_kernel_that_passes() {
    let (output, said) = siso_image(&["test", path(&kernel("tls"))], &[]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "tls ok\n");
}

/// `run` recognises a test by the name that Cargo gave it.
#[test]
fn a_kernel_with_the_name_of_a_test() {
    let folder = Folder::new();
    let file = folder.0.join("tls-0123456789abcdef");
    fs::copy(kernel("tls"), &file).expect("a file can be copied");
    let (output, said) = siso_image(&["run", path(&file), "--quiet"], &[]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "tls ok\n");
}

/// rustdoc names the programs of all doc tests alike; a failing one must fail.
#[test]
fn a_failing_doc_test() {
    let folder = Folder::new();
    let file = folder.0.join("rustdoctestAb12Cd/rust_out");
    fs::create_dir(file.parent().expect("it is in a folder")).expect("it can be created");
    fs::copy(kernel("triple_fault"), &file).expect("a file can be copied");
    let (output, said) = siso_image(&["run", path(&file)], &[]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the machine was reset"), "{said}");
}

/// QEMU's exit status is 0, which is no success here, and 1 with bootimage, too.
#[test]
fn a_kernel_that_resets_the_machine() {
    let (output, said) = siso_image(&["test", path(&kernel("triple_fault"))], &[]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("about to fault\n"), "{said}");
    assert!(said.contains("the machine was reset"), "{said}");
}

#[test]
fn a_kernel_that_hangs() {
    let limit = [("TIMEOUT", "2")];
    let (output, said) = siso_image(&["test", path(&kernel("seed"))], &limit);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("not finished after 2 seconds"), "{said}");
}

/// If no kernel starts, the loader's error ends the test, long before its time limit.
#[test]
fn a_machine_that_cannot_boot() {
    let settings = [("TIMEOUT", "300"), ("QEMU_FLAGS", "-cpu qemu32")];
    let (output, said) = siso_image(&["test", path(&kernel("tls"))], &settings);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let sentence = "the loader reports: E4 this CPU has no 64-bit mode";
    assert!(said.contains(sentence), "{said}");
}

/// The keys of `[package.metadata.bootimage]` for tests are honoured.
#[test]
fn the_manifests_test_keys() {
    let keys = "[package.metadata.bootimage]\n\
                test-args = [\"-device\", \"isa-debug-exit,iobase=0xf4,iosize=0x04\", \
                \"-display\", \"none\", \"-serial\", \"stdio\", \"-name\", \"a b\"]\n\
                test-success-exit-code = 35";
    let folder = package(keys);
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let (output, said) = siso_image(&["test", path(&kernel("tls"))], &settings);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("tls ok"), "{said}");
    assert!(
        said.contains("exit status is 33; on success it would be 35"),
        "{said}"
    );

    let folder = package("[package.metadata.bootimage]\ntest-timeout = 2");
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let (output, said) = siso_image(&["test", path(&kernel("seed"))], &settings);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("not finished after 2 seconds"), "{said}");
}

/// The key for runs is honoured, too, even if it redirects the serial line.
#[test]
fn the_manifests_run_keys() {
    let keys = "[package.metadata.bootimage]\n\
                run-args = [\"-device\", \"no-such-thing\"]";
    let folder = package(keys);
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let kernel = kernel("release/siso_os");
    let (output, said) = siso_image(&["run", path(&kernel)], &settings);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("no-such-thing"), "{said}");

    let keys = "[package.metadata.bootimage]\n\
                run-args = [\"-serial\", \"mon:stdio\", \"-m\", \"24M\"]";
    let folder = package(keys);
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let (output, said) = siso_image(&["run", path(&kernel)], &settings);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("memory 23 MiB"), "{said}");
}

/// Without `-no-reboot`, a reset boots again, until the time limit.
#[test]
fn a_kernel_that_may_reset_the_machine() {
    let folder = package("[package.metadata.bootimage]\ntest-no-reboot = false");
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0)), ("TIMEOUT", "3")];
    let (output, said) = siso_image(&["test", path(&kernel("triple_fault"))], &settings);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("not finished after 3 seconds"), "{said}");
}

/// Words after the kernel are its command line; flags with one dash are QEMU's.
#[test]
fn flags_for_a_test() {
    let arguments = ["test", path(&kernel("tls")), "a", "--b", "-no-such-flag"].map(String::from);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (output, said) = siso_image(&arguments, &[]);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("-no-such-flag: invalid option"), "{said}");
}

/// Options may be anywhere, in any order.
#[test]
fn options_in_any_order() {
    let folder = Folder::new();
    let (image, ramdisk) = (folder.0.join("image"), folder.0.join("ramdisk"));
    fs::write(&ramdisk, "text").expect("a file can be written");
    let file = kernel("writable_code");
    let mut parts = [
        vec!["--wx"],
        vec!["--ramdisk", path(&ramdisk)],
        vec!["-o", path(&image)],
        vec![path(&file)],
    ];
    for _ in 0..parts.len() {
        parts.rotate_left(1);
        let (output, said) = siso_image(&[vec!["build"], parts.concat()].concat(), &[]);
        assert!(output.status.success(), "{parts:?}: {said}");
        fs::remove_file(&image).expect("the image exists");
    }
}

/// An invalid manifest is reported in one line.
#[test]
fn an_invalid_manifest() {
    let folder = package("[package.metadata.bootimage]\ntest-timeout = \"soon\"");
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let (output, said) = siso_image(&["test", path(&kernel("tls"))], &settings);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("test-timeout: must be a number of seconds"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");

    let folder = Folder::new();
    let manifest = folder.0.join("Cargo.toml");
    fs::write(&manifest, "[workspace]\nmembers = [\"a\"]\n").expect("a file can be written");
    fs::create_dir_all(folder.0.join("a/src")).expect("a folder can be made");
    fs::write(folder.0.join("a/Cargo.toml"), "[package]\nname = \"a\"\n")
        .expect("a file can be written");
    fs::write(folder.0.join("a/src/lib.rs"), "").expect("a file can be written");
    let file = kernel("tls");
    let arguments = ["test", path(&file), "--manifest", path(&manifest)];
    let (output, said) = siso_image(&arguments, &[]);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("is the manifest of a workspace, not of a package"),
        "{said}"
    );
}

/// The processes whose arguments contain this text.
#[cfg(target_os = "linux")]
fn processes_with(text: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let arguments = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let arguments = arguments.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    arguments.filter(|line| line.contains(text)).collect()
}

/// However the runner is killed, it leaves neither QEMU nor temporary files.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_runner_leaves_nothing() {
    let kernel = kernel("never_halts");
    for words in [&["run"][..], &["run", "-S"], &["test"], &["why"]] {
        for signal in ["-INT", "-TERM", "-KILL"] {
            let folder = Folder::new();
            let mut runner = command_that_can_be_interrupted()
                .arg(words[0])
                .arg(&kernel)
                .args(&words[1..])
                .env("TMPDIR", &folder.0)
                .stdout(Stdio::null())
                .spawn()
                .expect("the image builder starts");
            let case = format!("{words:?} {signal}");
            let runs = || processes_with(path(&folder.0));
            let has_files =
                || fs::read_dir(&folder.0).is_ok_and(|mut files| files.next().is_some());
            let qemu = || runs().iter().any(|line| line.contains("-drive"));
            assert!(eventually(qemu), "{case}: QEMU does not start");
            assert!(has_files(), "{case}");
            let killed = Command::new("kill")
                .args([signal, &runner.id().to_string()])
                .status();
            assert!(killed.is_ok_and(|status| status.success()), "{case}");
            let status = runner.wait().expect("the runner can be waited for");
            assert_eq!(status.code(), None, "{case}: a signal ends it");
            assert!(eventually(|| runs().is_empty()), "{case}: {:?}", runs());
            assert!(eventually(|| !has_files()), "{case}: files are left");
        }
    }
}

/// Nor do the temporary files of QEMU itself stay, such as that of a snapshot, which it
/// unlinks only after it has made it.
#[test]
fn a_killed_runner_leaves_no_file_of_qemus() {
    let (programs, folder) = (Folder::new(), Folder::new());
    let text = "touch \"$TMPDIR/vl.123456\"; exec sleep 300\n";
    let mut runner = command()
        .args(["run", path(&kernel("seed"))])
        .env("QEMU", script(&programs, "qemu", text))
        .env("TMPDIR", &folder.0)
        .stdout(Stdio::null())
        .spawn()
        .expect("the image builder starts");
    let found = |name: &str| {
        let output = Command::new("find").arg(&folder.0).output();
        let files = output.expect("find starts").stdout;
        String::from_utf8_lossy(&files).contains(name)
    };
    assert!(eventually(|| found("vl.123456")), "QEMU does not start");
    runner.kill().expect("it runs");
    runner.wait().expect("the runner can be waited for");
    assert!(eventually(|| !found("siso-")), "a folder is left");
    assert!(!found("vl.123456"), "a file of QEMU's is left");
}

/// Waits until a condition is true; false after a long time.
fn eventually(condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < LONG {
        if condition() {
            return true;
        }
        sleep(Duration::from_millis(20));
    }
    false
}

/// Each command has a help text, and each shell its completions.
#[test]
fn help_and_completions() {
    for command in [
        "build",
        "run",
        "test",
        "screenshot",
        "usb",
        "new",
        "adopt",
        "loader",
        "size",
    ] {
        let (output, said) = siso_image(&[command, "--help"], &[]);
        assert!(output.status.success(), "{command}: {said}");
        assert!(
            said.contains(&format!("Usage: siso-image {command}")),
            "{said}"
        );
    }
    for shell in ["bash", "zsh", "fish"] {
        let (output, said) = siso_image(&["completions", shell], &[]);
        assert!(output.status.success(), "{shell}: {said}");
        assert!(said.contains("screenshot"), "{said}");
    }
    let (output, said) = siso_image(&["biuld"], &[]);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("a similar subcommand exists: 'build'"),
        "{said}"
    );
}
