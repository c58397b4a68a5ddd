//! Bochs: boots a disk image there, and reads the screen. It checks more of what a program
//! does than QEMU's TCG: segment limits, reserved bits of registers.

use crate::qemu::{Scratch, Screen};
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(100);

/// What a line of the log has when Bochs gives up: after a triple fault, for example, if
/// the CPU's option `reset_on_triple_fault` is 0. The CPU's state is near it.
pub const PANIC: &str = ">>PANIC<<";

/// The output of a run.
pub struct Seen {
    /// The screen at the end; none if Bochs had given up before.
    pub screen: Option<Screen>,
    /// What the serial line said.
    pub serial: String,
    /// Bochs's log. There, [`PANIC`] is why it gave up.
    pub log: String,
}

/// Boots the image until `done` is true of the serial line's output, or Bochs gives up, or the
/// limit is reached. `options` are more lines of Bochs's configuration, such as another
/// CPU. Bochs is missing if the error is [`io::ErrorKind::NotFound`].
pub fn boot(
    image: &Path,
    options: &str,
    limit: Duration,
    done: impl Fn(&str) -> bool,
) -> io::Result<Seen> {
    let scratch = Scratch::new()?;
    let file = |name: &str| scratch.path().join(name);
    // In real time: otherwise, the 30 seconds that the loader waits after an
    // error would pass in a moment, and this BIOS panics if no boot device is left. Without
    // `fastboot`, the BIOS offers its boot menu for three seconds (Bochs User Manual,
    // "romimage").
    let configuration = format!(
        "config_interface: textconfig\n\
         display_library: rfb, options=\"timeout=0\"\n\
         romimage: file=$BXSHARE/BIOS-bochs-latest, options=fastboot\n\
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
    fs::write(file("bochsrc"), configuration)?;
    let mut child = Running(
        Command::new("bochs")
            .args(["-q", "-unlock", "-f"])
            .arg(file("bochsrc"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?,
    );
    child.send("c");
    let read = |name: &str| {
        let bytes = fs::read(file(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    };
    let start = Instant::now();
    // After a panic, it may wait for a command.
    let mut has_ended =
        || io::Result::Ok(read("log").contains(PANIC) || child.0.try_wait()?.is_some());
    while !done(&read("serial")) && start.elapsed() < limit && !has_ended()? {
        sleep(POLL);
    }
    let mut screen = None;
    if !has_ended()? {
        // Control-C enters Bochs's debugger, which can dump memory.
        Command::new("kill")
            .args(["-INT", &child.0.id().to_string()])
            .status()?;
        let text = file("text");
        let (address, bytes) = (Screen::ADDRESS, Screen::BYTES);
        child.send(&format!(
            "writemem \"{}\" {address:#x} {bytes}",
            text.display()
        ));
        child.send("quit");
        child.0.wait()?;
        screen = fs::read(&text).ok().map(Screen);
    }
    Ok(Seen {
        screen,
        serial: read("serial"),
        log: read("log"),
    })
}

/// A process that ends with this value.
struct Running(Child);

impl Running {
    fn send(&mut self, command: &str) {
        let stdin = self.0.stdin.as_mut().expect("stdin is a pipe");
        let _ = writeln!(stdin, "{command}"); // if Bochs has ended, the dump is missing
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended already
        let _ = self.0.wait();
    }
}
