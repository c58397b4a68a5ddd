//! What a user gives QEMU wins over what the runner would add.

use crate::common::runner::{bootimage_package, command, fake_program, siso_image};
use crate::common::{Folder, kernel, path};
use std::fs;

/// The arguments that QEMU gets, without the image's drive and the runner's own
/// monitor, if the user gives these.
fn passed_on(mode: &str, given: &str) -> String {
    let folder = Folder::new();
    let qemu = fake_program(&folder, "qemu", 0);
    let file = kernel("seed");
    let mut words = vec![mode, path(&file)];
    words.extend(given.split_whitespace());
    let (_, said) = siso_image(&words, &[("QEMU", &qemu)]);
    let line = said
        .lines()
        .find(|line| line.starts_with("qemu "))
        .unwrap_or_default();
    let line = line.split(" -qmp unix:").next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let image = words
        .iter()
        .position(|word| word.starts_with("format=raw,file=/"));
    let image = image.unwrap_or_else(|| panic!("no drive: {said}"));
    [&words[..image - 1], &words[image + 1..]]
        .concat()
        .join(" ")
}

#[test]
fn nothing_of_the_same_kind_is_added() {
    let exit = "-device isa-debug-exit,iobase=0xf4,iosize=0x04";
    let log = |line: &str| {
        // The log is in a temporary folder.
        let (before, file) = line.split_once(" -d cpu_reset -D ").unwrap_or((line, ""));
        let after = file.split_once(' ').unwrap_or_default().1;
        format!("{before} LOG {after}").trim().to_string()
    };
    for (given, expected) in [
        ("", "-no-reboot ADDED"),
        (
            "-m 64 -M q35 -cpu max",
            "-no-reboot ADDED -m 64 -M q35 -cpu max",
        ),
        (
            "-serial stdio",
            "-no-reboot EXIT -display none -serial stdio",
        ),
        (
            "-serial file:a",
            "-no-reboot EXIT -display none -serial file:a",
        ),
        (
            "-monitor stdio",
            "-no-reboot EXIT -display none -monitor stdio",
        ),
        ("-nographic", "-no-reboot EXIT -nographic"),
        (
            "-display vnc=:9",
            "-no-reboot EXIT -serial stdio -display vnc=:9",
        ),
        (
            "-device isa-debug-exit,iobase=0x501",
            "-no-reboot -serial stdio -display none -device isa-debug-exit,iobase=0x501",
        ),
    ] {
        // What a user gives comes last, except that a test has -no-reboot before it.
        let expected = expected
            .replace("ADDED", "EXIT -serial stdio -display none")
            .replace("EXIT", exit);
        let sorted = |line: &str| {
            let mut words: Vec<String> = line.split(" -").map(String::from).collect();
            words[0] = words[0].trim_start_matches('-').into();
            words.sort();
            words
        };
        let seen = passed_on("test", given);
        assert_eq!(sorted(&seen), sorted(&expected), "test {given}");
        assert!(seen.ends_with(given), "test {given}: {seen}");
    }
    for (given, expected) in [
        // Observed: what the runner prints is all that can be seen.
        ("", "-display none -no-reboot -serial stdio"),
        ("-m 64", "-display none -no-reboot -serial stdio -m 64"),
        ("-serial stdio", "-display none -no-reboot -serial stdio"),
        (
            "-serial mon:stdio -m 8",
            "-display none -no-reboot -serial mon:stdio -m 8",
        ),
        ("-nographic", "-no-reboot -nographic"),
        ("-no-reboot", "-display none -serial stdio -no-reboot"),
        // Left to the user, who looks by other means.
        (
            "-serial file:a",
            "-display none -no-reboot LOG -serial file:a",
        ),
        (
            "-monitor stdio",
            "-display none -no-reboot LOG -monitor stdio",
        ),
        ("-vnc :9", "-no-reboot -serial stdio LOG -vnc :9"),
        ("-S -s", "-display none -no-reboot -serial stdio LOG -S -s"),
        ("-vnc :9 -d int", "-no-reboot -serial stdio -vnc :9 -d int"),
        (
            "-action reboot=reset",
            "-display none -serial stdio -action reboot=reset",
        ),
    ] {
        assert_eq!(
            log(&passed_on("run", given)).replace(" LOG", ""),
            expected.replace(" LOG", ""),
            "run {given}"
        );
        let logs = passed_on("run", given).contains("-d cpu_reset");
        assert_eq!(logs, expected.contains("LOG"), "run {given}");
    }
}

/// A serial line that a user leads to a file is COM1, in runs and in tests.
#[test]
fn serial_line_in_a_file() {
    let folder = Folder::new();
    let file = folder.0.join("serial");
    let to_file = format!("file:{}", path(&file));
    let tls = kernel("tls");
    let exit = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"];
    for (mode, status) in [("test", 0), ("run", 33)] {
        let words = [&[mode, path(&tls), "-serial", &to_file][..], &exit].concat();
        let (output, said) = siso_image(&words, &[]);
        assert_eq!(output.status.code(), Some(status), "{mode}: {said}");
        let seen = fs::read_to_string(&file).expect("QEMU has made the file");
        assert!(seen.contains("tls ok"), "{mode}: {seen}");
        assert!(!said.contains("tls ok"), "{mode}: {said}");
        fs::remove_file(&file).expect("it exists");
    }
}

/// Arguments that repeat the runner's own are no conflict.
#[test]
fn a_terminal_that_both_want() {
    let file = kernel("tls");
    let words = ["test", path(&file), "-serial", "stdio"];
    let exit = ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"];
    let (output, said) = siso_image(&[&words[..], &exit].concat(), &[]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "tls ok\n");

    let words = [
        "run",
        path(&file),
        "-display",
        "none",
        "-serial",
        "mon:stdio",
    ];
    let (output, said) = siso_image(&[&words[..], &exit].concat(), &[]);
    assert_eq!(output.status.code(), Some(33), "{said}");
    assert!(said.contains("tls ok"), "{said}");

    let words = [
        "test",
        path(&file),
        "-chardev",
        "stdio,id=a",
        "-serial",
        "chardev:a",
    ];
    let (output, said) = siso_image(&words, &[]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "tls ok\n");
}

/// Where a user's argument names the image, it is not attached a second time; any
/// other drive comes after it.
#[test]
fn drives() {
    let folder = Folder::new();
    let disk = folder.0.join("disk");
    fs::write(&disk, [0; 512]).expect("a file can be written");
    let disk = format!("format=raw,file={}", path(&disk));
    let file = kernel("tls");
    for drive in [
        &["-drive", "if=virtio,format=raw,file={}"][..],
        &[
            "-blockdev",
            "driver=file,node-name=a,filename={}",
            "-device",
            "nvme,serial=1,drive=a",
        ],
        &["-drive", &disk],
    ] {
        let words = [&["test", path(&file)][..], drive].concat();
        let (output, said) = siso_image(&words, &[]);
        assert!(output.status.success(), "{drive:?}: {said}");
        assert_eq!(said, "tls ok\n", "{drive:?}");
    }
}

/// `run-command` names the program; what is QEMU gets the rest, too.
#[test]
fn run_command() {
    let folder = bootimage_package("run-args = [\"-a\"]\ntest-args = [\"-b\"]");
    let settings = [("CARGO_MANIFEST_DIR", path(&folder.0))];
    let file = kernel("seed");
    let manifest = folder.0.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("it can be read");
    let said_with = |command: &str, words: &[&str]| {
        let text = format!("{text}run-command = {command}\n");
        fs::write(&manifest, text).expect("it can be written");
        let (output, said) = siso_image(words, &settings);
        (output.status.code(), said)
    };

    // Another program gets what bootimage would give it.
    let other = fake_program(&folder, "other", 54);
    let command = format!("[\"{other}\", \"first\", \"image={{}}\"]");
    let (status, said) = said_with(&command, &["run", path(&file), "-c"]);
    assert_eq!(status, Some(54), "{said}");
    assert!(said.starts_with("other first image=/"), "{said}");
    assert!(said.ends_with("/siso_os.img -a -c\n"), "{said}");
    let (status, said) = said_with(&command, &["test", path(&file), "-c"]);
    assert_eq!(status, Some(54), "{said}");
    assert!(said.contains("/siso_os.img -no-reboot -b -c\n"), "{said}");

    let qemu = fake_program(&folder, "qemu-x", 54);
    let command = format!("[\"{qemu}\", \"-cpu\", \"max\", \"-hda\", \"{{}}\"]");
    let (status, said) = said_with(&command, &["run", path(&file)]);
    assert_eq!(status, Some(54), "{said}");
    let expected = "qemu-x -display none -no-reboot -serial stdio -cpu max -hda /";
    assert!(said.starts_with(expected), "{said}");

    let (status, said) = said_with("[\"qemu\", \"image.bin\"]", &["run", path(&file)]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("run-command: must contain {}"), "{said}");
    let (status, said) = said_with("[\"no-such-program\", \"{}\"]", &["run", path(&file)]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("no-such-program: "), "{said}");
}

/// The CPU that a kernel asks for in `run-command` is the one that it gets.
#[test]
fn run_command_with_a_cpu() {
    let line = "run-command = [\"qemu-system-x86_64\", \"-cpu\", \"qemu32\", \
                \"-drive\", \"format=raw,file={}\"]";
    let folder = bootimage_package(line);
    let file = kernel("release/siso_os");
    for mode in ["run", "test"] {
        let output = command()
            .args([mode, path(&file)])
            .env("CARGO_MANIFEST_DIR", &folder.0)
            .output()
            .expect("the image builder starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("E4 this CPU has no 64-bit mode"), "{said}");
    }
}
