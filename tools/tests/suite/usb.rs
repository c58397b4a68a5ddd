//! USB sticks are written completely, and disks in use are not written at all.
//! The disks are loop devices over temporary files.
//!
//! Anything else that a test does to a loop device, such as a mount, happens in a
//! separate mount namespace, which ends with the test.

#![cfg(target_os = "linux")]

use crate::common::{Disk, Folder, LONG, image, kernel, top};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const KERNEL: &str = "release/siso_os";
const MIB: usize = 1 << 20;
/// The previous contents of every byte of the disk.
const OLD: u8 = 0xa5;
/// A DOS partition table with two partitions.
const DOS: &str = "label: dos\n 2048,2048,c\n 4096,8192,83\n";

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs a shell script with the arguments $1, $2...
fn sh(script: &str, arguments: &[&str]) -> Output {
    Command::new("sh")
        .args(["-ec", script, "sh"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the shell starts")
}

/// The same; asserts success, and returns the output.
fn sh_ok(script: &str, arguments: &[&str]) -> String {
    let output = sh(script, arguments);
    assert!(output.status.success(), "{script}: {}", text(&output));
    text(&output).trim().into()
}

/// A loop device and its backing file, in a folder that is removed with it.
struct Loop {
    device: String,
    file: PathBuf,
    folder: Folder,
}

impl Loop {
    fn new(mib: usize) -> Self {
        Loop::with(mib, "", "")
    }

    /// With a partition table in the format of sfdisk, and more flags for losetup.
    fn with(mib: usize, table: &str, flags: &str) -> Self {
        let folder = Folder::new();
        let file = folder.0.join("stick");
        fs::write(&file, vec![OLD; mib * MIB]).expect("a file can be written");
        let path = file.to_str().expect("a plain name");
        if !table.is_empty() {
            sh_ok(
                "echo \"$2\" | sfdisk --quiet --wipe always $1",
                &[path, table],
            );
        }
        let attach = format!("losetup --partscan {flags} --find --show $1");
        let device = sh_ok(&attach, &[path]);
        let stick = Loop {
            device,
            file,
            folder,
        };
        if !table.is_empty() {
            // Some kernels do not read partition tables automatically.
            sh_ok("partx --update $1", &[&stick.device]);
        }
        stick
    }

    fn name(&self) -> &str {
        self.device.trim_start_matches("/dev/")
    }

    /// The path of another file or folder in the stick's folder.
    fn sibling(&self, name: &str) -> String {
        self.folder.0.join(name).display().to_string()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.file).expect("the file can be read")
    }

    /// Runs `usb` and gives `answer` to its question.
    fn usb(&self, answer: &str) -> Output {
        self.usb_after("true", answer)
    }

    /// The same after a script in a mount namespace; $1 is the device, and $2 an
    /// empty folder.
    fn usb_after(&self, script: &str, answer: &str) -> Output {
        let folder = self.sibling("empty");
        fs::create_dir_all(&folder).expect("a folder can be made");
        let script = format!("{script}; shift 2; exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", &script, "sh"]);
        command.args([&self.device, &folder]);
        command.args([program(), "usb"]).arg(kernel(KERNEL));
        answered(command.arg(&self.device), answer)
    }

    /// Asserts that the disk is refused with this reason, even with the right
    /// answer.
    fn refused_after(&self, script: &str, reason: &str) {
        let before = self.bytes();
        let output = self.usb_after(script, &self.device);
        assert_refused(&output, &self.device, reason);
        // File systems begin after the first KiB.
        let unchanged = before[..1024] == self.bytes()[..1024];
        assert!(unchanged, "the disk was overwritten");
    }

    fn refused(&self, reason: &str) {
        self.refused_after("true", reason);
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        sh("losetup --detach $1", &[&self.device]);
    }
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_siso-image")
}

/// Runs a command with an answer on its standard input.
fn answered(command: &mut Command, answer: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let _ = writeln!(stdin, "{answer}"); // the command may end without asking
    drop(stdin);
    child.wait_with_output().expect("the command ends")
}

fn assert_refused(output: &Output, device: &str, reason: &str) {
    let said = text(output);
    assert_eq!(said, format!("siso-image: {device}: {reason}\n"));
    assert_eq!(output.status.code(), Some(1), "{said}");
}

/// Asserts that the disk has the image, followed by its previous contents.
fn assert_written(stick: &Loop) {
    let (image, bytes) = (image(KERNEL), stick.bytes());
    assert!(bytes[..image.len()] == image, "the image is not there");
    let rest = &bytes[image.len()..];
    assert!(rest.iter().all(|&byte| byte == OLD), "more was written");
}

#[test]
fn files_are_refused() {
    let folder = Folder::new();
    let file = folder.0.join("file");
    fs::write(&file, vec![OLD; 4 * MIB]).expect("a file can be written");
    for device in [file.to_str().expect("a plain name"), "/dev/null", "/tmp"] {
        let mut command = Command::new(program());
        command.arg("usb").arg(kernel(KERNEL)).arg(device);
        let output = answered(&mut command, device);
        assert_refused(&output, device, "is not a disk: not a block device");
    }
    assert!(fs::read(&file).expect("the file can be read") == vec![OLD; 4 * MIB]);
}

#[test]
fn missing_devices_are_refused() {
    let mut command = Command::new(program());
    command.arg("usb").arg(kernel(KERNEL)).arg("/dev/nothing");
    let output = answered(&mut command, "y");
    let reason = "No such file or directory (os error 2)";
    assert_refused(&output, "/dev/nothing", reason);
}

/// A module, so that `--skip on_loop_devices::` skips these tests.
mod on_loop_devices {
    use super::*;

    #[test]
    #[ignore = "needs root and loop devices"]
    fn a_stick_is_written_and_boots() {
        let stick = Loop::with(8, DOS, "");
        let mut make = Command::new("make");
        make.arg("usb")
            .arg(format!("KERNEL={}", kernel(KERNEL).display()))
            .arg(format!("DEVICE={}", stick.device))
            .current_dir(top())
            .env_remove("MAKEFLAGS");
        let output = answered(&mut make, &stick.device);
        let (said, name) = (text(&output), stick.name());
        assert!(output.status.success(), "{said}");
        for line in [
            format!("{}: {}, 8 MiB", stick.device, stick.file.display()),
            "its first 1 MiB will be overwritten".into(),
            format!("  {name}p1 will be lost: 1 MiB"),
            format!("  {name}p2 will be lost: 4 MiB"),
            format!("To write to it, type {}: ", stick.device),
            "1 of 1 MiB written\n1 of 1 MiB compared\n".into(),
            format!("{}: written and compared\n", stick.device),
        ] {
            assert!(said.contains(&line), "no '{line}': {said}");
        }
        assert!(!said.contains("GPT"), "{said}");
        assert_written(&stick);
        let disk = Disk::new(&stick.bytes());
        let screen = disk
            .boot(&[])
            .wait_for_halt(LONG)
            .expect("the kernel halts");
        assert_eq!(screen.row(0), "Hello World!", "{screen}");
    }

    /// The image includes the stick's last sector, so there is no backup GPT to
    /// clear.
    #[test]
    #[ignore = "needs root and loop devices"]
    fn a_stick_as_large_as_the_image() {
        let size = image(KERNEL).len();
        let stick = Loop::new(size / MIB);
        let last = "printf 'EFI PART' | dd of=$1 bs=512 seek=$2 conv=notrunc";
        sh_ok(last, &[&stick.device, &(size / 512 - 1).to_string()]);
        let output = stick.usb(&stick.device);
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("GPT"), "{said}");
        assert_written(&stick);
    }

    #[test]
    #[ignore = "needs root and loop devices"]
    fn a_backup_gpt_is_cleared() {
        let stick = Loop::with(8, "label: gpt\n 2048,2048,L\n", "");
        let last = stick.bytes().len() - 512;
        assert_eq!(stick.bytes()[last..][..8], *b"EFI PART");
        let before = stick.bytes();
        let output = stick.usb(&stick.device);
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("The backup GPT in its last sector will be cleared"));
        let (bytes, end) = (stick.bytes(), image(KERNEL).len());
        assert!(bytes[..end] == image(KERNEL), "the image is not there");
        assert!(bytes[end..last] == before[end..last], "more was written");
        assert!(
            bytes[last..].iter().all(|&byte| byte == 0),
            "the backup GPT was not cleared"
        );
    }

    #[test]
    #[ignore = "needs root and loop devices"]
    fn without_the_right_answer_nothing_is_written() {
        let stick = Loop::new(8);
        for answer in ["", "y", "yes", "/dev/loop", stick.name()] {
            let output = stick.usb(answer);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(
                said.contains("not confirmed; nothing was written"),
                "{said}"
            );
        }
        assert!(stick.bytes().iter().all(|&byte| byte == OLD));
    }

    /// Loop devices are not removable, so the test pretends that this one is.
    #[test]
    #[ignore = "needs root and loop devices"]
    fn removable_disks_need_only_yes() {
        let stick = Loop::new(8);
        let removable = "echo 1 >$2/1; mount --bind $2/1 /sys/class/block/${1#/dev/}/removable";
        for answer in ["", "n", "no", "yeah", &stick.device] {
            let output = stick.usb_after(removable, answer);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains("Write to it? [y/N] \n"), "{said}");
            assert!(
                said.contains("not confirmed; nothing was written"),
                "{said}"
            );
        }
        assert!(stick.bytes().iter().all(|&byte| byte == OLD));
        let output = stick.usb_after(removable, "y");
        assert!(output.status.success(), "{}", text(&output));
        assert_written(&stick);
    }

    #[test]
    #[ignore = "needs root and loop devices"]
    fn partitions_are_refused() {
        let stick = Loop::with(8, DOS, "");
        let partition = format!("{}p2", stick.device);
        let mut command = Command::new(program());
        command.arg("usb").arg(kernel(KERNEL)).arg(&partition);
        let output = answered(&mut command, &partition);
        let reason = format!("is a partition; name the whole disk, {}", stick.device);
        assert_refused(&output, &partition, &reason);
    }

    #[test]
    #[ignore = "needs root and loop devices"]
    fn mounted_disks_are_refused() {
        let stick = Loop::new(8);
        sh_ok("mkfs.ext4 -q -F $1", &[&stick.device]);
        stick.refused_after(
            "mount $1 $2",
            &format!("is mounted on {}", stick.sibling("empty")),
        );
    }

    #[test]
    #[ignore = "needs root and loop devices"]
    fn disks_with_mounted_partitions_are_refused() {
        let stick = Loop::with(8, DOS, "");
        stick.refused_after(
            "mkfs.ext4 -q -F ${1}p2; mount ${1}p2 $2",
            &format!(
                "its partition {}p2 is mounted on {}",
                stick.name(),
                stick.sibling("empty")
            ),
        );
    }

    /// A mount in another namespace, which /proc/self/mountinfo does not show.
    #[test]
    #[ignore = "needs root and loop devices"]
    fn disks_mounted_in_another_namespace_are_refused() {
        let stick = Loop::with(8, DOS, "");
        fs::create_dir(stick.sibling("mount")).expect("a folder can be made");
        let script = "mkfs.ext4 -q -F ${1}p2; mount ${1}p2 $2; echo mounted; read end";
        let mut elsewhere = Command::new("unshare")
            .args(["--mount", "sh", "-ec", script, "sh"])
            .args([&stick.device, &stick.sibling("mount")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut line = String::new();
        let stdout = elsewhere.stdout.take().expect("stdout is a pipe");
        let _ = BufReader::new(stdout).read_line(&mut line);
        let output = stick.usb(&stick.device);
        drop(elsewhere.stdin.take());
        let _ = elsewhere.wait();
        assert_eq!(line, "mounted\n");
        assert_refused(
            &output,
            &stick.device,
            "is in use, according to the operating system",
        );
    }

    #[test]
    #[ignore = "needs root and loop devices"]
    fn swap_is_refused() {
        /// Ends the use as swap before the loop device is detached.
        struct Swap(String);
        impl Drop for Swap {
            fn drop(&mut self) {
                sh("swapoff $1", &[&self.0]);
            }
        }
        let stick = Loop::with(8, DOS, "");
        let partition = Swap(format!("{}p2", stick.device));
        sh_ok("mkswap -q $1; swapon $1", &[&partition.0]);
        let reason = format!("its partition {}p2 is used as swap", stick.name());
        stick.refused(&reason);
        drop(partition);

        let stick = Loop::new(8);
        let disk = Swap(stick.device.clone());
        sh_ok("mkswap -q $1; swapon $1", &[&disk.0]);
        stick.refused("is used as swap");
        drop(disk);
    }

    /// Neither a disk that a loop device uses nor that loop device is accepted.
    #[test]
    #[ignore = "needs root and loop devices"]
    fn disks_under_loop_devices_are_refused() {
        let stick = Loop::with(8, DOS, "");
        for suffix in ["", "p2"] {
            let below = format!("{}{suffix}", stick.device);
            let above = Loop {
                device: sh_ok("losetup --find --show $1", &[&below]),
                file: stick.file.clone(),
                folder: Folder::new(),
            };
            let subject = match suffix {
                "" => String::new(),
                _ => format!("its partition {}{suffix} ", stick.name()),
            };
            stick.refused(&format!("{subject}is in use by {}", above.name()));
            above.refused(&format!("is a loop device over another disk, {below}"));
        }
    }

    /// Disks that the device mapper, RAID or LVM uses. The test simulates the
    /// folder `holders`, because not every kernel supports one of these.
    #[test]
    #[ignore = "needs root and loop devices"]
    fn disks_with_holders_are_refused() {
        let (stick, other) = (Loop::with(8, DOS, ""), Loop::new(8));
        for (part, subject) in [
            ("", String::new()),
            (
                "/${1#/dev/}p2",
                format!("its partition {}p2 ", stick.name()),
            ),
        ] {
            let script = format!(
                "mkdir -p $2/{}; mount --bind $2 /sys/class/block/${{1#/dev/}}{part}/holders",
                other.name()
            );
            stick.refused_after(&script, &format!("{subject}is in use by {}", other.name()));
        }
    }

    /// In a separate root folder: no test uses the host's own root disk.
    #[test]
    #[ignore = "needs root and loop devices"]
    fn the_disk_of_the_root_file_system_is_refused() {
        let stick = Loop::with(8, DOS, "");
        stick.refused_after(
            &format!("p=${{1}}p2; {NEW_ROOT}"),
            "contains the root file system",
        );
    }

    /// The same with another device in between, as with LVM.
    #[test]
    #[ignore = "needs root and loop devices"]
    fn a_disk_below_the_root_file_system_is_refused() {
        let (stick, mapper) = (Loop::with(8, DOS, ""), Loop::new(8));
        let script = format!(
            "mkdir -p $2/s/${{1#/dev/}}p2; mount --bind $2/s /sys/class/block/{}/slaves; p={}; {NEW_ROOT}",
            mapper.name(),
            mapper.device
        );
        stick.refused_after(&script, "contains the root file system");
    }

    /// Continues with the file system of $p as the root, in which the host's
    /// folders are mounted.
    const NEW_ROOT: &str = "\
        mkfs.ext4 -q -F $p
        mkdir $2/root
        mount $p $2/root
        for d in /*; do
            if [ -L $d ]; then cp -P $d $2/root
            elif [ -d $d ] && [ $d != /lost+found ]; then
                mkdir $2/root$d
                mount --rbind $d $2/root$d
            fi
        done
        set -- $1 $2 chroot $2/root \"$3\" \"$4\" \"$5\" \"$6\"";

    #[test]
    #[ignore = "needs root and loop devices"]
    fn read_only_disks_are_refused() {
        Loop::with(8, "", "--read-only").refused("is read-only");
    }

    #[test]
    #[ignore = "needs root and loop devices"]
    fn small_disks_are_refused() {
        let stick = Loop::new(1);
        let file = File::options()
            .write(true)
            .open(&stick.file)
            .expect("the file can be opened");
        file.set_len(MIB as u64 - 512)
            .expect("the file can be truncated");
        sh_ok("losetup --set-capacity $1", &[&stick.device]);
        stick.refused("holds 1023 KiB, but the image has 1 MiB");
    }

    /// The BIOS would count larger sectors than the loader.
    #[test]
    #[ignore = "needs root and loop devices"]
    fn disks_with_larger_sectors_are_refused() {
        let stick = Loop::with(8, "", "--sector-size 4096");
        stick.refused("has sectors of 4096 bytes; the loader supports only 512");
    }

    #[test]
    #[ignore = "needs root and loop devices"]
    fn without_permission_the_error_suggests_sudo() {
        let stick = Loop::new(8);
        let copy = |from: &Path| {
            let to = stick.sibling(
                from.file_name()
                    .and_then(|name| name.to_str())
                    .expect("a name"),
            );
            fs::copy(from, &to).expect("the file can be copied");
            to
        };
        let (program, kernel) = (copy(Path::new(program())), copy(&kernel(KERNEL)));
        let mut command = Command::new(&program);
        command
            .args(["usb", &kernel, &stick.device])
            .uid(65534)
            .gid(65534);
        let output = answered(&mut command, &stick.device);
        let reason = format!(
            "only root can write to it; run: sudo {program} usb {kernel} {}",
            stick.device
        );
        assert_refused(&output, &stick.device, &reason);
    }

    /// The backing file is larger than the file system that contains it.
    #[test]
    #[ignore = "needs root and loop devices"]
    fn a_disk_that_fails_midway() {
        let folder = Folder::new();
        let file = folder.0.join("stick");
        let script = "\
            mount -t tmpfs -o size=4m none $1
            truncate --size 64M $1/stick
            losetup --find --show $1/stick";
        let path = folder.0.to_str().expect("a plain name");
        let device = sh_ok("exec unshare --mount sh -ec \"$1\" sh $2", &[script, path]);
        let stick = Loop {
            device,
            file,
            folder,
        };
        let mut command = Command::new(program());
        command
            .arg("usb")
            .arg(kernel("payload_16m"))
            .arg(&stick.device);
        let output = answered(&mut command, &stick.device);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let reason = "writing failed at byte 4194304; do not boot from it: ";
        assert!(
            said.contains(&format!("siso-image: {}: {reason}", stick.device)),
            "{said}"
        );
        assert!(!said.contains("compared"), "{said}");
    }
}
