//! The same image boots from every medium that the firmware of QEMU and Bochs
//! supports. If the first disk fails, the second one boots.

use crate::common::{
    Disk, Folder, LONG, NO_NETWORK, assert_shows, bochs, field, image, kernel, row, top,
};
use siso_image::SECTOR;
use siso_image::layout::KERNEL_SECTOR;
use siso_image::qemu::Machine;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Boots this project's kernel from the drive in these arguments, where `FILE` is
/// replaced by the path of the image.
fn boots(arguments: &str) {
    let disk = Disk::of("release/siso_os");
    boots_file(arguments, &disk.path.display().to_string());
}

/// The same with the path of another image.
fn boots_file(arguments: &str, file: &str) {
    let arguments = arguments.replace("FILE", file);
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let mut machine = Machine::start(&arguments).expect("QEMU starts");
    let screen = machine.wait_for_halt(LONG);
    let screen = screen.unwrap_or_else(|failure| panic!("{arguments:?}: {failure}"));
    assert_eq!(screen.row(0), "Hello World!", "{screen}");
    let options = arguments
        .iter()
        .filter(|word| !word.starts_with('-') && !word.contains("file="));
    let options: Vec<&str> = options.copied().collect();
    let medium = if options.is_empty() {
        arguments[0]
    } else {
        &options.join(" ")
    };
    row(medium, "boots", "boots", "QEMU");
}

#[test]
fn hard_disks() {
    boots("-machine pc -drive if=ide,format=raw,file=FILE");
    boots("-machine q35 -drive if=ide,format=raw,file=FILE"); // AHCI
    boots(
        "-device ahci,id=a -drive if=none,id=d,format=raw,file=FILE -device ide-hd,drive=d,bus=a.0",
    );
}

/// The formats of virtual machines, as docs/elsewhere.md says to make them.
#[test]
fn converted_images() {
    let disk = Disk::of("release/siso_os");
    let folder = Folder::new();
    for format in ["vdi", "vmdk", "vhdx", "vpc", "qcow2"] {
        let converted = folder.0.join("os").with_extension(format);
        let output = Command::new("qemu-img")
            .args(["convert", "-f", "raw", "-O", format])
            .args([&disk.path, &converted])
            .output()
            .expect("qemu-img starts; `make doctor` shows how to install it");
        assert!(output.status.success(), "{format}: {output:?}");
        let drive = format!("-drive if=ide,format={format},file=FILE");
        boots_file(&drive, &converted.display().to_string());
    }
}

#[test]
fn virtio_nvme_and_scsi() {
    for machine in ["pc", "q35"] {
        let drive = format!("-machine {machine} -drive if=none,id=d,format=raw,file=FILE");
        boots(&format!("{drive} -device virtio-blk-pci,drive=d"));
        boots(&format!("{drive} -device nvme,drive=d,serial=1"));
        boots(&format!(
            "{drive} -device lsi53c895a -device scsi-hd,drive=d"
        ));
        boots(&format!(
            "{drive} -device virtio-scsi-pci -device scsi-hd,drive=d"
        ));
    }
}

#[test]
fn usb_sticks() {
    for controller in ["usb-ehci", "qemu-xhci"] {
        boots(&format!(
            "-device {controller} -drive if=none,id=d,format=raw,file=FILE -device usb-storage,drive=d"
        ));
    }
}

/// Floppy drives do not support LBA, so all reads are by cylinder, head, sector.
#[test]
fn floppies() {
    boots("-drive if=floppy,format=raw,file=FILE");
}

/// The kernel cannot ask the BIOS to stop the motor, so the loader does.
#[test]
fn the_floppy_motor_is_off() {
    const OUTPUT: &str = "i /1bx 0x3f2"; // the digital output register
    const MOTORS: u8 = 0xf0;
    let disk = Disk::of("seed");
    let floppy = format!("if=floppy,format=raw,file={}", disk.path.display());
    let mut machine = Machine::start(&["-drive", &floppy]).expect("QEMU starts");
    let screen = machine.wait_for_halt(LONG).expect("the kernel halts");
    assert_eq!(screen.row(0), "Hello World!", "{screen}");
    let reply = machine.command(OUTPUT).expect("QEMU reads a port");
    let value = reply.trim().rsplit("0x").next();
    let value = value.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let value = value.unwrap_or_else(|| panic!("{reply}"));
    assert_eq!(value & MOTORS, 0, "{value:#x}");
}

/// A disk whose stage 2 is wrong. Its stage 1 waits so many seconds for a key, not 30.
fn damaged(seconds: u16) -> Disk {
    // `mov $WAIT_SECONDS, %cx`: the first look at the clock counts as a second, too.
    let wait = |seconds: u16| {
        let [low, high] = (seconds + 1).to_le_bytes();
        [0xb9, low, high]
    };
    let mut bytes = image("release/siso_os");
    bytes[3 * SECTOR] ^= 1;
    let mut code = bytes[..SECTOR].windows(3);
    let at = code.position(|code| code == wait(30));
    let at = at.expect("stage 1 has this instruction");
    bytes[at..at + 3].copy_from_slice(&wait(seconds));
    Disk::new(&bytes)
}

/// Boots an image with one sector that cannot be read; `device` is QEMU's arguments
/// for the drive. Asserts that the loader reports this error.
fn cannot_read(device: &str, sector: usize, sentence: &str) {
    let disk = Disk::of("seed");
    let drive = format!(
        "if=none,id=d,format=raw,file.driver=blkdebug,file.image.driver=file,\
         file.image.filename={},file.inject-error.0.event=none,\
         file.inject-error.0.iotype=read,file.inject-error.0.errno=5,\
         file.inject-error.0.sector={sector}",
        disk.path.display()
    );
    let arguments = NO_NETWORK.into_iter().chain(["-drive", &drive]);
    let arguments: Vec<&str> = arguments.chain(device.split(' ')).collect();
    let mut machine = Machine::start(&arguments).expect("QEMU starts");
    println!("{device}, sector {sector}");
    assert_shows(&mut machine, sentence);
    let case = format!("{device}: sector {sector} cannot be read");
    row(&case, sentence, sentence, "QEMU");
}

/// Asserts that a read error is reported, in stage 2 and in the kernel; not wrong
/// data.
fn cannot_read_sectors(device: &str) {
    let kernel = field(&image("seed"), KERNEL_SECTOR) + 1;
    cannot_read(device, 2, "E1 disk read");
    cannot_read(device, kernel, "E1 disk read: sectors ");
}

#[test]
fn read_errors_of_hard_disks() {
    cannot_read_sectors("-device ide-hd,drive=d");
    cannot_read_sectors("-device ahci,id=a -device ide-hd,drive=d,bus=a.0");
    cannot_read_sectors("-device nvme,drive=d,serial=1");
    cannot_read_sectors("-device virtio-blk-pci,drive=d");
}

#[test]
fn read_errors_of_scsi() {
    // Not am53c974: there, SeaBIOS itself waits forever for the missing bytes.
    for adapter in ["virtio-scsi-pci", "lsi53c895a", "mptsas1068"] {
        cannot_read_sectors(&format!("-device {adapter} -device scsi-hd,drive=d"));
    }
}

/// With these adapters, SeaBIOS ignores read errors and reports success. The
/// checksums detect the wrong data.
#[test]
fn read_errors_that_the_bios_hides() {
    let kernel = field(&image("seed"), KERNEL_SECTOR) + 1;
    for adapter in ["pvscsi", "megasas"] {
        let device = format!("-device {adapter} -device scsi-hd,drive=d");
        cannot_read(&device, 2, "E2 bad stage 2");
        cannot_read(&device, kernel, "E8 wrong data on the disk: sectors ");
    }
}

#[test]
fn read_errors_of_usb_sticks() {
    for controller in ["usb-ehci", "qemu-xhci"] {
        cannot_read_sectors(&format!("-device {controller} -device usb-storage,drive=d"));
    }
}

#[test]
fn a_floppy_on_bochs() {
    let mut bytes = image("release/siso_os");
    bytes.resize(2880 * 512, 0); // Bochs recognizes floppies by their size
    let disk = Disk::new(&bytes);
    let floppy = format!(
        "floppya: 1_44={}, status=inserted\nboot: floppy",
        disk.path.display()
    );
    let empty = Disk::new(&[0; 1 << 20]);
    let seen = bochs::boot(&empty.path, &floppy, |serial| {
        serial.contains("MiB of memory")
    });
    assert_eq!(seen.screen.row(0), "Hello World!", "{}", seen.screen);
    assert!(seen.serial.contains("drive 00"), "{}", seen.serial);
}

/// `make iso` makes a CD-ROM that contains the image: El Torito, with hard disk
/// emulation.
#[test]
fn cd_roms() {
    let folder = Folder::new();
    let iso = folder.0.join("siso_os.iso");
    let output = Command::new("make")
        .arg("iso")
        .arg(format!("KERNEL={}", kernel("release/siso_os").display()))
        .arg(format!("ISO={}", iso.display()))
        .current_dir(top())
        .env_remove("MAKEFLAGS")
        .stdin(Stdio::null())
        .output()
        .expect("make starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let file = iso.display().to_string();
    boots_file("-machine pc -cdrom FILE", &file);
    boots_file("-machine q35 -cdrom FILE", &file);
}

/// The first disk is damaged. The BIOS boots the second one after a key, or after
/// some time without a key.
#[test]
fn the_next_device_after_an_error() {
    let second = Disk::of("seed");
    let hard_disk = format!("if=ide,format=raw,file={}", second.path.display());
    // Without the key, the first one would wait longer than this test.
    let long = 2 * LONG.as_secs() as u16;
    for (key, seconds) in [(true, long), (false, 2)] {
        // To SeaBIOS, all hard disks are a single boot device, so this is a floppy.
        let first = damaged(seconds);
        let floppy = format!("if=floppy,format=raw,file={}", first.path.display());
        let arguments = ["-boot", "order=ac", "-drive", &floppy, "-drive", &hard_disk];
        let mut machine = Machine::start(&arguments).expect("QEMU starts");
        let shown = machine.wait_for_serial(LONG, |serial| serial.contains("E2 bad stage 2"));
        assert!(shown, "{}", machine.serial());
        if key {
            machine.command("sendkey spc").expect("QEMU takes a key");
        }
        let booted = machine.wait_for_serial(LONG, |serial| serial.contains("long mode, entry"));
        assert!(booted, "key {key}: {}", machine.serial());
        let screen = machine
            .wait_for_halt(LONG)
            .expect("the second disk's kernel halts");
        assert_eq!(screen.row(0), "Hello World!", "{screen}");
    }
}

/// The wait for a key ends even if there are no timer interrupts.
#[test]
fn the_next_device_without_a_timer() {
    let disk = damaged(1);
    for chips in ["pit=on", "pit=off", "pic=off"] {
        let mut machine = disk.boot(&["-machine", chips]);
        let shown = machine.wait_for_serial(LONG, |serial| serial.contains("E2 bad stage 2"));
        assert!(shown, "{}", machine.serial());
        let start = Instant::now();
        loop {
            let screen = machine.screen().expect("QEMU shows its screen");
            if screen.to_string().contains("Booting from Floppy") {
                break;
            }
            sleep(Duration::from_millis(50));
            assert!(start.elapsed() < LONG, "{chips}: {screen}");
        }
        let case = format!("damaged disk, no key, -machine {chips}");
        row(&case, "the next device", "the next device", "QEMU");
    }
}
