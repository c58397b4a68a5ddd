//! The loader's instructions, and the file in which `coverage.c` notes what it saw
//! of them.

use crate::tools;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};
use siso_image::layout::{IMAGE_HEADER, LOADER_BYTES, STAGE1_BASE, STAGE2, STAGE2_CHECKSUM};
use siso_image::{LOADER, LOADER_ELF};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

/// Bytes in each table of the plugin's file.
const BYTES: usize = LOADER_BYTES as usize;

/// Bits of the plugin's table `kind`.
mod kind {
    pub const INSTRUCTION: u8 = 1;
    pub const BRANCH: u8 = 2;
    pub const REPEATED: u8 = 4;
    pub const CHAINED_CODE: u8 = 8;
}

/// Bits of its table `seen`.
mod seen {
    pub const EXECUTED: u8 = 1;
    pub const TAKEN: u8 = 2;
    pub const NOT_TAKEN: u8 = 4;
}

/// The plugin's file. Its tables: bytes of the loader, which bits of them count,
/// sizes of instructions, kinds, targets of branches (16 bits each), what was seen.
const SIZE: usize = 7 * BYTES;
const SEEN: Range<usize> = 6 * BYTES..7 * BYTES;

/// What an instruction can do in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It cannot.
    None,
    /// A conditional branch.
    Branch,
    /// A string instruction that repeats, maybe not once.
    Repeat,
}

/// An instruction of the loader.
#[derive(Clone, Debug)]
pub struct Point {
    /// The name of its source file in `boot/`.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// Its address as linked.
    pub address: u64,
    pub choice: Choice,
    /// Its size in bytes.
    pub size: usize,
    /// The CPU's mode in it: 16, 32 or 64 bits.
    pub mode: u32,
    target: u64,
    /// Whether it sets the count of a string instruction to a number.
    sets_count: bool,
    seen: u8,
}

impl Point {
    /// Whether it was executed.
    pub fn executed(&self) -> bool {
        self.seen & seen::EXECUTED != 0
    }

    /// Whether it was executed either way: taken, or not; with a count, or without.
    pub fn ways(&self) -> [bool; 2] {
        [seen::TAKEN, seen::NOT_TAKEN].map(|bit| self.seen & bit != 0)
    }

    /// What was not seen of it, in words.
    pub fn missing(&self) -> Option<&'static str> {
        match (self.choice, self.executed(), self.ways()) {
            (_, false, _) => Some("never runs"),
            (Choice::None, ..) | (_, _, [true, true]) => None,
            (Choice::Branch, _, [false, false]) => Some("ends there"),
            (Choice::Branch, _, [true, false]) => Some("always taken"),
            (Choice::Branch, _, [false, true]) => Some("never taken"),
            (Choice::Repeat, _, [true, false]) => Some("never with a count of 0"),
            (Choice::Repeat, _, [false, _]) => Some("never with a count above 0"),
        }
    }
}

/// The loader's sources.
pub struct Sources(BTreeMap<String, Vec<String>>);

impl Sources {
    /// Reads the sources of these instructions from `boot/`.
    pub fn read(boot: &Path, points: &[Point]) -> Result<Self, String> {
        let mut sources = BTreeMap::new();
        for point in points {
            if !sources.contains_key(&point.file) {
                sources.insert(point.file.clone(), lines(&boot.join(&point.file))?);
            }
        }
        Ok(Sources(sources))
    }

    /// The lines of a file.
    pub fn lines(&self, file: &str) -> &[String] {
        &self.0[file]
    }

    /// The code in a line, without label, comment and surplus blanks.
    pub fn code(&self, point: &Point) -> String {
        let line = &self.lines(&point.file)[point.line - 1];
        let code = line.split('#').next().unwrap_or_default();
        let code = code.rsplit_once(':').map_or(code, |(label, rest)| {
            let is_label = label
                .chars()
                .all(|c| c.is_alphanumeric() || "._".contains(c));
            if is_label { rest } else { code }
        });
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn lines(path: &Path) -> Result<Vec<String>, String> {
    let text = tools::read(path)?;
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .map(String::from)
        .collect())
}

/// The instructions of the loader, in the order of their addresses: the line table
/// has a row for each, and the last .code16, .code32 or .code64 before a line is
/// the mode.
pub fn all(boot: &Path, folder: &Path) -> Result<Vec<Point>, String> {
    let elf = folder.join("loader.elf");
    tools::write(&elf, LOADER_ELF)?;
    let table = tools::run(Command::new("objdump").arg("--dwarf=decodedline").arg(&elf))?;
    let mut modes = BTreeMap::new();
    let mut points = Vec::new();
    for row in table.lines() {
        let words: Vec<&str> = row.split_whitespace().collect();
        let [file, line, address, ..] = words[..] else {
            continue;
        };
        let (Ok(line), Some(address)) = (line.parse::<usize>(), address.strip_prefix("0x")) else {
            continue; // a title, or the end of a section
        };
        let address = u64::from_str_radix(address, 16).map_err(|_| format!("objdump: {row}"))?;
        if !modes.contains_key(file) {
            modes.insert(file.to_string(), modes_of(&lines(&boot.join(file))?));
        }
        points.push(point(file, line, address, modes[file][line - 1], LOADER)?);
    }
    points.sort_by_key(|point| point.address);
    points.dedup_by_key(|point| point.address);
    drop_constant_counts(&mut points);
    if let Some(pair) = points
        .windows(2)
        .find(|pair| pair[0].end() > pair[1].address)
    {
        return Err(format!(
            "objdump: {} is within {:x}",
            pair[1].address, pair[0].address
        ));
    }
    Ok(points)
}

/// Right after a `mov` of its count, a string instruction always has the same.
fn drop_constant_counts(points: &mut [Point]) {
    for n in 1..points.len() {
        if points[n].choice == Choice::Repeat && points[n - 1].sets_count {
            points[n].choice = Choice::None;
        }
    }
}

/// The mode of each line: 16, 32 or 64 bits.
fn modes_of(lines: &[String]) -> Vec<u32> {
    let mut mode = 64;
    let directive = |line: &String| {
        line.trim()
            .strip_prefix(".code")?
            .split(' ')
            .next()?
            .parse()
            .ok()
    };
    let modes = lines.iter().map(|line| {
        mode = directive(line).unwrap_or(mode);
        mode
    });
    modes.collect()
}

/// Decodes an instruction of `code`, which begins at `STAGE1_BASE`.
fn point(file: &str, line: usize, address: u64, mode: u32, code: &[u8]) -> Result<Point, String> {
    let offset = usize::try_from(address - STAGE1_BASE).ok();
    let bytes = offset.and_then(|at| code.get(at..));
    let bytes = bytes.ok_or_else(|| format!("{file}:{line}: {address:x} is not in the loader"))?;
    let instruction = Decoder::with_ip(mode, bytes, address, DecoderOptions::NONE).decode();
    if instruction.is_invalid() {
        return Err(format!("{file}:{line}: no instruction at {address:x}"));
    }
    let choice = choice(&instruction);
    Ok(Point {
        file: file.into(),
        line,
        address,
        choice,
        mode,
        size: instruction.len(),
        target: if choice == Choice::Branch {
            instruction.near_branch_target()
        } else {
            0
        },
        sets_count: instruction.mnemonic() == Mnemonic::Mov
            && instruction.op0_register().full_register() == Register::RCX
            && matches!(
                instruction.op1_kind(),
                OpKind::Immediate16 | OpKind::Immediate32
            ),
        seen: 0,
    })
}

fn choice(instruction: &Instruction) -> Choice {
    if instruction.flow_control() == FlowControl::ConditionalBranch {
        Choice::Branch
    } else if instruction.is_string_instruction()
        && (instruction.has_rep_prefix() || instruction.has_repne_prefix())
    {
        Choice::Repeat
    } else {
        Choice::None
    }
}

impl Point {
    fn end(&self) -> u64 {
        self.address + self.size as u64
    }

    /// Where it is in the loader.
    pub fn offset(&self) -> usize {
        (self.address - STAGE1_BASE) as usize
    }
}

/// Writes the plugin's file, in which nothing was seen yet.
pub fn write(points: &[Point], path: &Path) -> Result<(), String> {
    write_for(points, LOADER, path)
}

fn write_for(points: &[Point], code: &[u8], path: &Path) -> Result<(), String> {
    let mut file = vec![0; SIZE];
    file[..code.len()].copy_from_slice(code);
    let (masks, sizes, kinds, targets) = (BYTES, 2 * BYTES, 3 * BYTES, 4 * BYTES);
    file[masks..sizes].fill(0xff);
    // The image builder puts the checksum into an instruction.
    file[masks + (STAGE2_CHECKSUM - STAGE1_BASE) as usize..][..4].fill(0);
    for point in points {
        let at = point.offset();
        file[sizes + at] = point.size as u8;
        file[kinds + at] = kind::INSTRUCTION
            | match point.choice {
                Choice::None => 0,
                Choice::Branch => kind::BRANCH,
                Choice::Repeat => kind::REPEATED,
            };
        if (IMAGE_HEADER..STAGE2).contains(&point.address) {
            file[kinds + at] |= kind::CHAINED_CODE;
        }
        if point.choice == Choice::Branch {
            let target = (point.target - STAGE1_BASE) as u16;
            file[targets + 2 * at..][..2].copy_from_slice(&target.to_ne_bytes());
        }
    }
    tools::write(path, &file)
}

/// Reads back what was seen.
pub fn read(points: &mut [Point], path: &Path) -> Result<(), String> {
    let file = tools::read(path)?;
    for point in points {
        point.seen = file[SEEN.start + point.offset()];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin;
    use siso_image::qemu::{self, Scratch};
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    /// The line table has every instruction, and branches lead to instructions.
    #[test]
    fn every_instruction_of_the_loader_is_known() {
        let scratch = Scratch::new().expect("temporary files can be made");
        let boot = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boot");
        let points = all(&boot, scratch.path()).expect("the loader can be read");
        let is_start = |address| points.iter().any(|point| point.address == address);
        for point in points.iter().filter(|point| point.choice == Choice::Branch) {
            assert!(is_start(point.target), "{point:x?}");
            assert!(is_start(point.end()), "{point:x?}");
        }
        assert!(points.len() > 1000, "{}", points.len());
    }

    /// A boot sector of which each way is known. Its end differs from what is expected
    /// there, as in a damaged loader.
    #[test]
    fn a_known_boot_sector_is_seen_correctly() {
        const EXPECTED: [(&[u8], Option<&str>); 15] = [
            (&[0xbf, 0x00, 0x06], None),                         // mov $0x600, %di
            (&[0xb9, 0x03, 0x00], None),                         // mov $3, %cx
            (&[0xe2, 0xfe], None),                               // loop .
            (&[0xe3, 0x01], Some("always taken")),               // jcxz, over the next one
            (&[0x90], Some("never runs")),                       // nop
            (&[0xf3, 0xaa], Some("never with a count above 0")), // rep stosb
            (&[0xf9], None),                                     // stc
            (&[0x73, 0x02], Some("never taken")),                // jnc, over the next one
            (&[0xb1, 0x02], None),                               // mov $2, %cl
            (&[0xf3, 0xaa], Some("never with a count of 0")),    // rep stosb
            (&[0xeb, 0x00], None),                               // jmp, to the next one
            (&[0xf9], Some("never runs")),                       // stc, but it is a clc
            (&[0xfa], Some("never runs")),                       // cli
            (&[0xf4], Some("never runs")),                       // hlt
            (&[0xeb, 0xfc], Some("never runs")),                 // jmp, to the cli
        ];
        let mut code: Vec<u8> = Vec::new();
        let mut points = Vec::new();
        let starts = EXPECTED.map(|(bytes, _)| {
            code.extend(bytes);
            STAGE1_BASE + (code.len() - bytes.len()) as u64
        });
        for address in starts {
            points.push(point("", 1, address, 16, &code).expect("it is an instruction"));
        }
        let scratch = Scratch::new().expect("temporary files can be made");
        let file = |name: &str| scratch.path().join(name);
        write_for(&points, &code, &file("seen")).expect("a file can be written");
        code[(starts[11] - STAGE1_BASE) as usize] = 0xf8;
        code.resize(510, 0);
        code.extend([0x55, 0xaa]);
        tools::write(&file("disk"), &code).expect("a file can be written");
        let source = include_str!("../coverage.c");
        let plugin = plugin::compile(scratch.path(), "coverage", source);
        let plugin = plugin.expect("the plugin compiles");

        let mut command = qemu::command();
        command
            .args(["-display", "none", "-serial", "null", "-plugin"])
            .arg(format!(
                "{},out={}",
                plugin.display(),
                file("seen").display()
            ))
            .args(qemu::disk(&file("disk")))
            .stdin(Stdio::null());
        let mut guest = command.spawn().expect("QEMU starts");
        let start = Instant::now();
        while points[10].missing().is_some() && start.elapsed() < Duration::from_secs(60) {
            read(&mut points, &file("seen")).expect("it can be read");
        }
        std::thread::sleep(Duration::from_secs(1)); // for what must not run
        guest.kill().expect("it still runs");
        guest.wait().expect("QEMU can be waited for");
        read(&mut points, &file("seen")).expect("it can be read");
        for (point, (bytes, missing)) in points.iter().zip(EXPECTED) {
            assert_eq!(point.missing(), missing, "{bytes:x?}");
        }
    }
}
