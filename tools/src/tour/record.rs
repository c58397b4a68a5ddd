//! Records a boot: first how many instructions the firmware executes between ours,
//! then each of ours with the state of the CPU.

use super::fold::{Folder, Step};
use super::subject::Subject;
use crate::layout::DIE_WAIT;
use crate::progress::Progress;
use crate::recorder::code::{Decoded, Flow, decode};
use crate::recorder::cpu::{Mode, RFLAGS_IF};
use crate::recorder::symbols::Place;
use crate::recorder::{Begin, Detail, Event, Recorder, emulator};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};

/// The most instructions of a kernel that are recorded: one that does not halt would
/// run forever.
const KERNEL_MAX: u64 = 200_000;
/// How many instructions of the wait after an error are recorded.
const ERROR_WAIT: u64 = 200;
/// How many lines `trace.tsv` can have. A boot with more instructions would fill the
/// disk.
const LINES_MAX: u64 = 20_000_000;
/// How long the machine may execute none of our instructions.
const QUIET_MAX: Duration = Duration::from_secs(60);

/// A recorded boot.
pub struct Record {
    /// The steps.
    pub steps: Vec<Step>,
    /// The number of instructions of the loader.
    pub loader: u64,
    /// The number of instructions of the kernel.
    pub kernel: u64,
    /// The number of instructions of the firmware, from the boot sector to the kernel.
    pub firmware: u64,
    /// QEMU's version.
    pub emulator: String,
    /// The SHA-256 of the image.
    pub sha256: String,
    /// How the boot ended.
    pub end: String,
    /// Each executed instruction, with its source line.
    pub codes: Vec<Code>,
    /// The index in `codes` by address and mode.
    pub index: HashMap<(u64, Mode), usize>,
}

/// An instruction of ours.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Code {
    pub address: u64,
    pub mode: Mode,
    pub bytes: Vec<u8>,
    pub text: String,
    pub place: Option<Place>,
    pub function: String,
}

/// Where the firmware runs: after which of our instructions, and how long.
struct Firmware(Vec<(u64, u64)>);

/// Records the boot; writes `trace.tsv`.
pub fn record(subject: &Subject, trace: &Path) -> Result<Record, String> {
    let about = |error: io::Error| format!("recording the boot: {error}");
    let firmware = firmware(subject).map_err(about)?;
    let mut out = BufWriter::new(
        File::create(trace).map_err(|error| format!("{}: {error}", trace.display()))?,
    );
    let record = instructions(subject, &firmware, &mut out).map_err(about)?;
    out.flush()
        .map_err(|error| format!("{}: {error}", trace.display()))?;
    Ok(record)
}

/// Counts the firmware's instructions up to the kernel's entry.
fn firmware(subject: &Subject) -> io::Result<Firmware> {
    let mut recorder = Recorder::start(
        &subject.arguments,
        &[],
        Detail::Addresses,
        Begin::BootSector(subject.entries),
    )?;
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let (mut own, mut count, mut errors) = (0, 0, 0);
    let start = Instant::now();
    let mut progress = Progress::new();
    loop {
        let cpu = match recorder.event()? {
            Event::Instruction(cpu) => cpu,
            Event::Quiet if start.elapsed() < QUIET_MAX => continue,
            Event::Quiet | Event::End => break,
            _ => continue,
        };
        progress.show(|| format!("counting the firmware's instructions: {own} of ours so far"));
        if !subject.is_own(cpu.rip) {
            count += 1;
            continue;
        }
        if count > 0 {
            runs.push((own, count));
            count = 0;
        }
        own += 1;
        errors += u64::from(errors > 0 || cpu.rip == DIE_WAIT);
        if cpu.rip == subject.entry || errors > ERROR_WAIT {
            break;
        }
    }
    Ok(Firmware(runs))
}

fn instructions(
    subject: &Subject,
    firmware: &Firmware,
    out: &mut impl Write,
) -> io::Result<Record> {
    let mut record = Record {
        steps: Vec::new(),
        loader: 0,
        kernel: 0,
        firmware: firmware.0.iter().map(|(_, count)| count).sum(),
        emulator: emulator()?,
        sha256: super::steps::sha256(&subject.bytes),
        end: String::new(),
        codes: Vec::new(),
        index: HashMap::new(),
    };
    writeln!(out, "# image sha256 {}", record.sha256)?;
    writeln!(out, "# emulator {}", record.emulator)?;
    writeln!(out, "# number\tmode\taddress\tsource")?;
    let ranges: Vec<RangeInclusive<u64>> = [subject.loader.code(), subject.kernel.code()].concat();
    let mut recorder = Recorder::start(
        &subject.arguments,
        &ranges,
        Detail::State,
        Begin::BootSector(subject.entries),
    )?;
    let mut folder = Folder::default();
    let mut runs = firmware.0.iter().peekable();
    let mut lines: Vec<String> = Vec::new();
    let (mut number, mut errors, mut left_out, mut endless) = (0u64, 0, 0u64, 0);
    let mut since = Instant::now();
    let mut progress = Progress::new();
    let mut last: Option<(u64, Option<Decoded>, bool)> = None;
    record.end = loop {
        let cpu = match recorder.event()? {
            Event::Instruction(cpu) => cpu,
            Event::Exception(exception) if subject.is_own(exception.cpu.ip()) => {
                // The instruction that caused it was recorded; its handler is next.
                continue;
            }
            Event::Exception(_) => continue,
            Event::TripleFault => break "a triple fault".into(),
            Event::End => break "the machine was switched off".into(),
            Event::Quiet => {
                let halts = last.is_some_and(|(_, code, interrupts)| {
                    code.is_some_and(|code| code.flow() == Flow::Halt) && !interrupts
                });
                if halts && recorder.is_halted()? {
                    break "the CPU halts, with interrupts off".into();
                }
                if since.elapsed() > QUIET_MAX {
                    break format!("nothing for {} seconds", QUIET_MAX.as_secs());
                }
                continue;
            }
        };
        since = Instant::now();
        if let Some(&&(after, count)) = runs.peek()
            && after == number
        {
            if let Some(step) = folder.steps.last_mut() {
                step.firmware += count;
            }
            runs.next();
        }
        let address = cpu.ip();
        let mode = cpu.mode();
        let decoded = decode(&cpu, subject.code(address));
        let index = *record.index.entry((address, mode)).or_insert_with(|| {
            let code = code(subject, address, mode, decoded.as_ref());
            let place = code.place.as_ref();
            lines.push(format!(
                "\t{mode}\t{address:#x}\t{}\n",
                place.map_or("-".into(), |place| format!("{}:{}", place.file, place.line))
            ));
            record.codes.push(code);
            lines.len() - 1
        });
        if number < LINES_MAX {
            write!(out, "{number}")?;
            out.write_all(lines[index].as_bytes())?;
        } else {
            left_out += 1;
        }
        last = Some((address, decoded, cpu.rflags & RFLAGS_IF != 0));
        folder.add(Step::new(number, cpu, decoded.as_ref()));
        number += 1;
        progress.show(|| format!("recording: {number} instructions"));
        if subject.in_loader(address) {
            record.loader += 1;
        } else {
            record.kernel += 1;
        }
        errors += u64::from(errors > 0 || address == DIE_WAIT);
        endless = if decoded.is_some_and(|code| code.is_endless()) {
            endless + 1
        } else {
            0
        };
        if errors > ERROR_WAIT {
            break "the loader waits for a key, after its error message".into();
        }
        if endless > 8 {
            break "an endless loop".into();
        }
        if record.kernel > KERNEL_MAX {
            break format!("the kernel has executed {KERNEL_MAX} instructions");
        }
    };
    if left_out > 0 {
        writeln!(out, "# {left_out} more lines were left out")?;
    }
    record.steps = folder.steps;
    Ok(record)
}

fn code(subject: &Subject, address: u64, mode: Mode, decoded: Option<&Decoded>) -> Code {
    let loader = subject.in_loader(address);
    let symbols = if loader {
        &subject.loader
    } else {
        &subject.kernel
    };
    let length = decoded.map_or(1, Decoded::length);
    let bytes = subject.code(address);
    // Where a function of the standard library was inlined, the line of ours that
    // called it says more.
    let frames = symbols.frames(address);
    let ours = frames.iter().find(|(_, place)| {
        let file = place.as_ref().map(|place| short(&place.file));
        file.is_some_and(|file| super::steps::is_own(&file))
    });
    let place = ours
        .and_then(|(_, place)| place.clone())
        .or_else(|| symbols.place(address))
        .map(|place| Place {
            file: short(&place.file),
            ..place
        });
    let frame = ours.or(frames.first());
    let function = frame.map(|(name, _)| name.clone()).unwrap_or_default();
    Code {
        address,
        mode,
        bytes: bytes[..length.min(bytes.len())].to_vec(),
        text: decoded.map_or("(unknown)".into(), Decoded::text),
        place,
        function,
    }
}

/// A source file's path without the folders above the project, or above the crate of
/// the standard library.
pub fn short(file: &str) -> String {
    for (marker, keep) in [
        ("/boot/", "boot/"),
        ("/library/", "library/"),
        ("/src/", "src/"),
    ] {
        if let Some(at) = file.rfind(marker)
            && (keep != "src/" || !file.contains("/library/"))
        {
            return format!("{keep}{}", &file[at + marker.len()..]);
        }
    }
    file.trim_start_matches("./").into()
}
