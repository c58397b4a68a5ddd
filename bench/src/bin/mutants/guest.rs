//! A guest that boots again and again from the moment when the BIOS enters the
//! boot sector, each time with another mutant of the loader.
//!
//! The moment is a snapshot of QEMU: to load it takes some 12 ms, where QEMU and the
//! BIOS need 200 ms of CPU time to get there.

use crate::boots::Boot;
use siso_image::layout::{STAGE1_BASE, STAGE2_CHECKSUM};
use siso_image::qemu::{Machine, Scratch, escaped, loader_error};
use siso_image::{LOADER, SECTOR, checksum};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The interval of looks at a guest.
const POLL: Duration = Duration::from_millis(4);
/// The limit of a boot without a mutant: CPU time, and how long the CPU is halted.
const FIRST: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(2)];
const LONG: Duration = Duration::from_secs(60);
/// How much more CPU time than without a mutant a boot may take, and how much longer
/// its CPU may be halted.
const FACTOR: u32 = 3;
const MORE: [Duration; 2] = [Duration::from_millis(60), Duration::from_millis(300)];
/// The loader's last message before it starts a kernel.
const LOADER_MESSAGE: &str = "long mode, entry";
/// How the report of the kernel `drop_in` begins.
const REPORT: &str = "video memory";
/// Where a CPU begins.
const RESET_VECTOR: u32 = 0xffff_fff0;
/// The disk signature, which is not code.
const SIGNATURE: usize = 0x1b8;

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The kernel found everything in order. What follows is the report of the kernel
    /// `drop_in`, which its test compares.
    Passed(String),
    /// The kernel reset the machine, as some do that check nothing.
    Reset,
    /// The loader reported this error and waits for a key.
    Error(String),
    /// It failed, in whatever way.
    Failed,
}

/// What a mutant changes of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It ends differently.
    End,
    /// It ends in the same way, but the text on the serial line differs.
    Text,
    /// Nothing.
    None,
}

/// A guest at the beginning of a boot.
pub struct Guest {
    machine: Machine,
    gdb: UnixStream,
    serial: PathBuf,
    /// The disk with the loader, and its first bytes.
    disk: File,
    image: Vec<u8>,
    end: End,
    text: String,
    /// Without a mutant: CPU time, and how long the CPU was halted at most.
    usual: [Duration; 2],
    _scratch: Scratch,
}

impl Guest {
    /// Starts a guest; `None` if this boot cannot be repeated.
    pub fn start(boot: &Boot) -> io::Result<Option<Guest>> {
        let scratch = Scratch::new()?;
        let file = |name: &str| scratch.path().join(name);
        let mut disks = Vec::new();
        let mut image = None;
        for (n, disk) in boot.disks.iter().enumerate() {
            let copy = file(&n.to_string());
            fs::copy(disk, &copy)?;
            let start = first_bytes(&copy)?;
            if is_ours(&start) {
                image = Some((copy.clone(), start));
            }
            disks.push(copy);
        }
        let Some((disk, image)) = image else {
            return Ok(None);
        };
        let (serial, gdb) = (file("serial"), file("gdb"));
        let mut arguments = boot.repeated(&disks, scratch.path());
        arguments.extend(
            [
                "-action",
                "reboot=reset",
                "-no-shutdown",
                "-snapshot",
                "-S",
                "-serial",
                "chardev:text",
                "-chardev",
            ]
            .map(String::from),
        );
        // Opened to append, so that it can be made empty.
        arguments.push(format!("file,id=text,append=on,path={}", escaped(&serial)));
        arguments.push("-gdb".into());
        arguments.push(format!("unix:{},server=on,wait=off", escaped(&gdb)));
        let machine = Machine::start(&arguments)?;
        let Ok(gdb) = UnixStream::connect(&gdb) else {
            return Ok(None);
        };
        gdb.set_read_timeout(Some(LONG))?;
        let mut guest = Guest {
            machine,
            gdb,
            serial,
            disk: File::options().write(true).open(disk)?,
            image,
            end: End::Failed,
            text: String::new(),
            usual: [Duration::ZERO; 2],
            _scratch: scratch,
        };
        Ok(guest.prepare()?.then_some(guest))
    }

    /// Makes the snapshot, and boots without a mutant; false if that fails.
    fn prepare(&mut self) -> io::Result<bool> {
        let start = hex(&self.image[3..11]);
        let at = format!("{STAGE1_BASE:x},1");
        loop {
            self.debug(&format!("Z1,{at}"))?; // a breakpoint at 7C00h
            if !self.debug("c")?.starts_with('T') {
                return Ok(false);
            }
            self.debug(&format!("z1,{at}"))?;
            if self.debug(&format!("m{:x},8", STAGE1_BASE + 3))? == start {
                break;
            }
            self.debug("s")?; // another boot sector, which will load ours
        }
        if !self.machine.command("savevm start")?.is_empty() {
            return Ok(false);
        }
        // A reset stops the machine.
        self.debug(&format!("Z1,{RESET_VECTOR:x},1"))?;
        let image = self.image.clone();
        for _ in 0..2 {
            let (end, text, took) = self.boot(&image, None)?;
            if end == End::Failed {
                return Ok(false);
            }
            for (usual, took) in self.usual.iter_mut().zip(took) {
                *usual = took.max(*usual);
            }
            (self.end, self.text) = (end, text);
        }
        // What is not the same every time cannot be compared.
        let (end, text, _) = self.boot(&image, None)?;
        Ok(end == self.end && text == self.text)
    }

    /// Boots with other bytes at an address; returns what that changed.
    pub fn change(&mut self, address: u64, bytes: &[u8]) -> io::Result<Change> {
        let mut image = self.image.clone();
        image[(address - STAGE1_BASE) as usize..][..bytes.len()].copy_from_slice(bytes);
        let sum = checksum::stage2(&image[SECTOR..]);
        image[(STAGE2_CHECKSUM - STAGE1_BASE) as usize..][..4].copy_from_slice(&sum.to_le_bytes());
        let limits = self.limits();
        let (end, text, _) = self.boot(&image, Some(limits))?;
        Ok(match () {
            () if end != self.end => Change::End,
            () if text != self.text => Change::Text,
            () => Change::None,
        })
    }

    /// Whether it still boots as it should without a mutant.
    pub fn is_good(&mut self) -> bool {
        let limits = self.limits();
        let image = self.image.clone();
        let seen = self.boot(&image, Some(limits));
        seen.is_ok_and(|(end, text, _)| end == self.end && text == self.text)
    }

    fn limits(&self) -> [Duration; 2] {
        [0, 1].map(|n| self.usual[n] * FACTOR + MORE[n])
    }

    /// Boots, and returns how that ended, the text, and the times it took.
    fn boot(
        &mut self,
        image: &[u8],
        limits: Option<[Duration; 2]>,
    ) -> io::Result<(End, String, [Duration; 2])> {
        self.disk.write_all_at(image, 0)?;
        if !self.machine.command("loadvm start")?.is_empty() {
            return Err(io::Error::other("the snapshot cannot be loaded"));
        }
        // The BIOS has read the boot sector.
        let sector = &image[..SIGNATURE];
        let memory = format!("M{STAGE1_BASE:x},{:x}:{}", sector.len(), hex(sector));
        if self.debug(&memory)? != "OK" {
            return Err(io::Error::other("the debugger cannot write memory"));
        }
        File::options().write(true).open(&self.serial)?.set_len(0)?;
        let port = self.machine.debug_port().len();
        let before = self.cpu_time()?;
        self.machine.command("cont")?;
        let start = Instant::now();
        let (mut halted, mut longest) = (Instant::now(), Duration::ZERO);
        let mut looks = 0;
        let (mut end, text, took) = loop {
            sleep(POLL);
            let text = fs::read(&self.serial)?;
            let text = String::from_utf8_lossy(&text).replace('\r', "");
            let end = end_of(&text);
            if self.is_running()? {
                halted = Instant::now();
            }
            longest = longest.max(halted.elapsed());
            let took = [self.cpu_time()? - before, longest];
            if let Some(end) = end {
                break (end, text, took);
            }
            let [cpu, halt] = limits.unwrap_or(FIRST);
            let late = took[0] > cpu || longest > halt || start.elapsed() > LONG;
            looks += 1;
            let stopped = looks % 8 == 0 && self.machine.run_state()? != "running";
            if late || stopped {
                let last = text.lines().next_back().unwrap_or_default();
                let end = match stopped && last.starts_with(LOADER_MESSAGE) {
                    true => End::Reset,
                    false => End::Failed,
                };
                break (end, text, took);
            }
        };
        if let End::Error(sentence) = &end {
            // The screen is written last.
            sleep(POLL);
            let screen = self.machine.screen()?;
            let port = self.machine.debug_port().split_off(port);
            if !(1..25).any(|row| screen.row(row).starts_with(sentence.as_str()))
                || !port.contains(sentence.as_str())
            {
                end = End::Failed;
            }
        }
        self.machine.command("stop")?;
        Ok((end, text, took))
    }

    /// The CPU time that QEMU has used.
    fn cpu_time(&self) -> io::Result<Duration> {
        let time = self.machine.cpu_time();
        time.ok_or_else(|| io::Error::other("the system does not tell QEMU's CPU time"))
    }

    /// Whether a thread of QEMU runs, or could. The CPU's does not while it is halted.
    fn is_running(&self) -> io::Result<bool> {
        for thread in fs::read_dir(format!("/proc/{}/task", self.machine.process()))? {
            let stat = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
            if stat
                .rsplit(") ")
                .next()
                .is_some_and(|rest| !rest.starts_with('S'))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends a command to QEMU's debugger and returns its answer (GDB documentation,
    /// "Remote Serial Protocol").
    fn debug(&mut self, command: &str) -> io::Result<String> {
        let sum = command
            .bytes()
            .fold(0u8, |sum, byte| sum.wrapping_add(byte));
        write!(self.gdb, "${command}#{sum:02x}")?;
        let waits = matches!(command, "c" | "s");
        loop {
            let mut answer = Vec::new();
            let mut byte = [0];
            while byte != *b"#" {
                self.gdb.read_exact(&mut byte)?;
                match byte[0] {
                    b'$' => answer.clear(),
                    byte => answer.push(byte),
                }
            }
            self.gdb.read_exact(&mut [0; 2])?;
            self.gdb.write_all(b"+")?;
            answer.pop();
            let answer = String::from_utf8_lossy(&answer).into_owned();
            // It also says when the machine stops for another reason.
            if answer.starts_with('T') == waits {
                return Ok(answer);
            }
        }
    }
}

/// The sectors before the checksum table.
fn first_bytes(disk: &PathBuf) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LOADER.len().next_multiple_of(SECTOR)];
    File::open(disk)?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Whether these are the bytes of our loader. The image builder fills in a few.
fn is_ours(bytes: &[u8]) -> bool {
    let same = bytes.iter().zip(LOADER).filter(|(one, other)| one == other);
    same.count() + 256 > LOADER.len()
}

/// How a boot with this text on the serial line has ended, if it has.
fn end_of(text: &str) -> Option<End> {
    if let Some(line) = loader_error(text) {
        let sentence = line.split(':').next().unwrap_or_default();
        return Some(End::Error(sentence.trim_end().into()));
    }
    let line = text.strip_suffix('\n')?.lines().next_back()?;
    if line.ends_with(" ok") {
        let report = text.find(REPORT).map_or("", |start| &text[start..]);
        return Some(End::Passed(report.into()));
    }
    line.starts_with("FAILED").then_some(End::Failed)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{End, end_of};

    #[test]
    fn ends_of_boots() {
        let error = |sentence: &str| Some(End::Error(sentence.into()));
        for (text, expected) in [
            ("", None),
            ("siso_os: stage 2, drive 80\nmemory 127 MiB", None),
            ("memory 127 MiB\ncontract ok", None),
            (
                "memory 127 MiB\ncontract ok\n",
                Some(End::Passed(String::new())),
            ),
            (
                "entry 200000\nvideo memory 3\ndrop_in ok\n",
                Some(End::Passed("video memory 3\ndrop_in ok\n".into())),
            ),
            ("FAILED: CR0 is 1, not 2 at main.rs:7\n", Some(End::Failed)),
            ("\nE1 disk read\npress a", None),
            ("\nE1 disk read\npress a key\n", error("E1 disk read")),
            (
                "kernel 12 KiB \nE8 wrong data on the disk: sectors 16-31\npress a key\n",
                error("E8 wrong data on the disk"),
            ),
        ] {
            assert_eq!(end_of(text), expected, "{text}");
        }
    }
}
