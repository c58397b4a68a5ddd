//! Boots a disk image in Bochs and reads its text memory.

use super::{Folder, LONG};
use siso_image::qemu::Screen;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The output of a run in Bochs.
pub struct Seen {
    pub screen: Screen,
    pub serial: String,
}

/// Boots the image until `done` is true of the serial line's output. `options`
/// are more lines of Bochs's configuration, such as another CPU.
pub fn boot(image: &Path, options: &str, done: impl Fn(&str) -> bool) -> Seen {
    let folder = Folder::new();
    let file = |name: &str| folder.0.join(name);
    // In real time: otherwise, the 30 seconds that the loader waits after an
    // error would pass in a moment, and this BIOS panics if no boot device is left.
    let configuration = format!(
        "config_interface: textconfig\n\
         display_library: rfb, options=\"timeout=0\"\n\
         romimage: file=$BXSHARE/BIOS-bochs-latest\n\
         vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest\n\
         megs: 128\n\
         ata0-master: type=disk, path={image}, mode=flat\n\
         boot: disk\n\
         com1: enabled=1, mode=file, dev={serial}\n\
         port_e9_hack: enabled=1\n\
         log: {log}\n\
         clock: sync=realtime\n\
         panic: action=fatal\n\
         {options}\n",
        image = image.display(),
        serial = file("serial").display(),
        log = file("log").display(),
    );
    fs::write(file("bochsrc"), configuration).expect("a file can be written");

    let mut child = Command::new("bochs")
        .args(["-q", "-unlock", "-f"])
        .arg(file("bochsrc"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Bochs starts; `make doctor` shows how to install it");
    send(&mut child, "c");
    let read = || {
        let bytes = fs::read(file("serial")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    };
    let start = Instant::now();
    while !done(&read()) && start.elapsed() < LONG {
        sleep(Duration::from_millis(100));
    }

    // Control-C enters Bochs's debugger, which can dump memory.
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(
        interrupted.is_ok_and(|status| status.success()),
        "Bochs has ended: {}",
        read()
    );
    let text = file("text");
    send(
        &mut child,
        &format!("writemem \"{}\" 0xb8000 4000", text.display()),
    );
    send(&mut child, "quit");
    let status = child.wait().expect("Bochs can be waited for");
    let screen = fs::read(&text);
    let screen = screen.unwrap_or_else(|error| panic!("{status}, {error}: {}", read()));
    Seen {
        screen: Screen(screen),
        serial: read(),
    }
}

fn send(child: &mut Child, command: &str) {
    let stdin = child.stdin.as_mut().expect("stdin is a pipe");
    let _ = writeln!(stdin, "{command}"); // if Bochs has ended, the dump is missing
}
