//! `steps.json`: the steps with all that the page shows. Its format is described in
//! `docs/tour.md`.

use super::checkpoints::Checkpoint;
use super::fold::{Kind, Step};
use super::memory::{Change, Content, Memory, TEXT};
use super::record::Record;
use super::subject::Subject;
use crate::layout::*;
use crate::recorder::code::Flow;
use crate::recorder::cpu::{Cpu, REGISTERS, SEGMENTS, Table};
use crate::{SECTOR, sectors};
use serde_json::{Map, Value, json};
use std::fs;

/// The version of the format.
pub const FORMAT: u32 = 1;

/// Whether a source file is one of this project.
pub fn is_own(file: &str) -> bool {
    file.starts_with("boot/") || file.starts_with("src/")
}

/// A source file of this project, if it is there. Another kernel has a `src/main.rs` of
/// its own.
pub fn source(file: &str, subject: &Subject) -> Option<String> {
    if file.starts_with("boot/") || file.starts_with("src/") && subject.kernel_is_ours {
        return fs::read_to_string(super::subject::top().join(file)).ok();
    }
    None
}

/// The whole document.
pub fn document(
    subject: &Subject,
    record: &mut Record,
    memory: &Memory,
    checkpoints: &[Checkpoint],
) -> Value {
    let mut steps = Vec::new();
    let mut before = Cpu::default();
    for (step, change) in record.steps.iter().zip(&memory.changes) {
        let first = steps.is_empty();
        steps.push(one(record, step, change, &before, first));
        before = (*step.cpu).clone();
    }
    json!({
        "format": FORMAT,
        "image": {
            "sha256": record.sha256,
            "bytes": subject.bytes.len(),
            "kernel": subject.name,
            "entry": hex(subject.entry),
        },
        "emulator": record.emulator,
        "bios": subject.bios,
        "end": record.end,
        "counts": {
            "loader": record.loader,
            "kernel": record.kernel,
            "firmware": record.firmware,
        },
        "files": files(record, subject),
        "code": codes(record),
        "low": regions(),
        "disk": disk(subject),
        "font": memory.font.as_deref().map(base64),
        "memory": first_memory(memory),
        "chapters": chapters(record),
        "checkpoints": checkpoints.iter().map(checkpoint).collect::<Vec<_>>(),
        "steps": steps,
    })
}

fn checkpoint(checkpoint: &Checkpoint) -> Value {
    json!({
        "name": checkpoint.name,
        "title": checkpoint.title,
        "step": checkpoint.step,
        "text": checkpoint.text,
        "question": checkpoint.question,
        "answer": checkpoint.answer,
    })
}

fn hex(number: u64) -> String {
    format!("{number:x}")
}

fn one(record: &Record, step: &Step, change: &Change, before: &Cpu, first: bool) -> Value {
    let mut out = Map::new();
    out.insert("n".into(), step.number.into());
    out.insert("c".into(), record.index[&(step.address, step.mode)].into());
    let registers = registers(&step.cpu, before, first);
    if !registers.is_empty() {
        out.insert("r".into(), registers.into());
    }
    if let Kind::Fold {
        iterations,
        length,
        calls,
    } = step.kind
    {
        out.insert("k".into(), step.count.into());
        out.insert("fold".into(), json!([iterations, length, calls]));
    }
    if step.firmware > 0 {
        out.insert("fw".into(), step.firmware.into());
    }
    if !change.memory.is_empty() {
        let memory: Vec<Value> = change
            .memory
            .iter()
            .map(|(address, content)| write(*address, content))
            .collect();
        out.insert("w".into(), memory.into());
    }
    let ranges = |ranges: &[(u64, u64, u64)]| -> Value {
        ranges
            .iter()
            .map(|&(linear, physical, length)| json!([hex(linear), hex(physical), length]))
            .collect::<Vec<_>>()
            .into()
    };
    if !change.read.is_empty() {
        out.insert("rd".into(), ranges(&change.read));
    }
    // Where linear and physical addresses are the same, "w" says it already.
    if change
        .touched
        .iter()
        .any(|(linear, physical, _)| linear != physical)
    {
        out.insert("wl".into(), ranges(&change.touched));
    }
    if !change.serial.is_empty() {
        out.insert("s".into(), change.serial.clone().into());
    }
    if !change.debug.is_empty() {
        out.insert("e9".into(), change.debug.clone().into());
    }
    if let Some(call) = &change.call {
        let (asked, answered) = super::bios::describe(call);
        let mut value = json!({ "int": call.number, "asked": asked, "answered": answered });
        if let Some((first, count)) = call.sectors {
            value["sectors"] = json!([first, count]);
        }
        out.insert("bios".into(), value);
    }
    out.into()
}

/// What is written: the address, then bytes in hexadecimal, or a count and a byte
/// that fills the range, or a count and null where the content is not recorded.
fn write(address: u64, content: &Content) -> Value {
    match content {
        Content::Unknown(length) => json!([hex(address), length, null]),
        Content::Bytes(bytes) if bytes.len() > 8 && bytes.iter().all(|byte| *byte == bytes[0]) => {
            json!([hex(address), bytes.len(), bytes[0]])
        }
        Content::Bytes(bytes) => {
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!([hex(address), text])
        }
    }
}

/// The registers that differ from those before.
fn registers(cpu: &Cpu, before: &Cpu, all: bool) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |name: &str, value: u64, old: u64| {
        if all || value != old {
            out.insert(name.into(), hex(value).into());
        }
    };
    for (index, name) in REGISTERS.iter().enumerate() {
        put(name, cpu.registers[index], before.registers[index]);
    }
    put("rip", cpu.rip, before.rip);
    put("rflags", cpu.rflags, before.rflags);
    put("cr0", cpu.cr0, before.cr0);
    put("cr2", cpu.cr2, before.cr2);
    put("cr3", cpu.cr3, before.cr3);
    put("cr4", cpu.cr4, before.cr4);
    put("efer", cpu.efer, before.efer);
    put("a20", cpu.a20.into(), before.a20.into());
    for (index, name) in SEGMENTS.iter().enumerate() {
        let segment = cpu.segments[index];
        if all || segment != before.segments[index] {
            let value = json!([
                hex(segment.selector.into()),
                hex(segment.base),
                hex(segment.limit.into()),
                hex(segment.rights.into())
            ]);
            out.insert((*name).into(), value);
        }
    }
    let mut table = |name: &str, value: Table, old: Table| {
        if all || value != old {
            out.insert(
                name.into(),
                json!([hex(value.base), hex(value.limit.into())]),
            );
        }
    };
    table("gdtr", cpu.gdtr, before.gdtr);
    table("idtr", cpu.idtr, before.idtr);
    out
}

/// The source files with their texts, as far as they are this project's.
fn files(record: &Record, subject: &Subject) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for code in &record.codes {
        if let Some(place) = &code.place
            && !names.contains(&place.file.as_str())
        {
            names.push(&place.file);
        }
    }
    let file = |name: &&str| json!({ "name": name, "text": source(name, subject) });
    names.iter().map(file).collect::<Vec<_>>().into()
}

fn codes(record: &Record) -> Value {
    let mut names: Vec<&str> = Vec::new();
    let mut values = Vec::new();
    for code in &record.codes {
        let place = code.place.as_ref().map(|place| {
            let known = names.iter().position(|name| *name == place.file);
            let file = known.unwrap_or_else(|| {
                names.push(&place.file);
                names.len() - 1
            });
            json!([file, place.line])
        });
        let bytes: String = code
            .bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        values.push(json!([
            hex(code.address),
            code.mode.to_string(),
            bytes,
            code.text,
            place,
            code.function
        ]));
    }
    values.into()
}

/// The map of low memory: from, to (exclusive), name.
fn regions() -> Value {
    [
        (0, 0x400, "interrupt vectors"),
        (0x400, 0x500, "BIOS data"),
        (REGIONS_BASE, REGIONS_END, "memory regions"),
        (MAP_BASE, MAP_LIMIT, "memory map"),
        (ELF_BASE, ELF_END, "ELF headers"),
        (STACK_BOTTOM, STACK_TOP, "stack"),
        (STAGE1_BASE, STAGE2_BASE, "stage 1"),
        (STAGE2_BASE, LOADER_END, "stage 2"),
        (VARIABLES_BASE, VARIABLES_END, "variables"),
        (CHUNK_BASE, CHUNK_END, "chunk from the disk"),
        (CHECKSUMS_BASE, CHECKSUMS_END, "checksum table"),
        (IDENTITY_PML4, IDENTITY_END, "the loader's page tables"),
        (0xa0000, 0xb8000, "video memory"),
        (0xb8000, 0xc0000, "text screen"),
        (0xc0000, 0x100000, "firmware"),
    ]
    .iter()
    .map(|(from, to, name)| json!([hex(*from), hex(*to), name]))
    .collect::<Vec<_>>()
    .into()
}

/// The layout of the disk: first sector, count, name.
fn disk(subject: &Subject) -> Value {
    let field = |address: u64| {
        let at = (address - STAGE1_BASE) as usize;
        let bytes = subject.bytes.get(at..at + 4);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes) as usize
    };
    let stage2 = (STAGE2_END - STAGE2_BASE) as usize / SECTOR;
    json!([
        [0, 1, "stage 1"],
        [1, stage2, "stage 2"],
        [
            field(CHECKSUMS_SECTOR),
            field(KERNEL_SECTOR) - field(CHECKSUMS_SECTOR),
            "checksum table"
        ],
        [field(KERNEL_SECTOR), field(ELF_SECTORS), "ELF headers"],
        [
            field(KERNEL_SECTOR) + field(ELF_SECTORS),
            field(KERNEL_SECTORS) - field(ELF_SECTORS),
            "kernel"
        ],
        [
            subject.used_sectors,
            sectors(subject.bytes.len()) - subject.used_sectors,
            "unused"
        ],
    ])
}

/// What is in memory before the first step: pages that are not zero, and the screen.
fn first_memory(memory: &Memory) -> Value {
    let mut out = Vec::new();
    for (n, page) in memory.low.chunks(0x1000).enumerate() {
        if page.iter().any(|&byte| byte != 0) {
            out.push(json!([hex(n as u64 * 0x1000), base64(page)]));
        }
    }
    out.push(json!([hex(TEXT), base64(&memory.text)]));
    out.into()
}

/// The chapters: stage 1, the calls in the main line of stage 2, the kernel.
fn chapters(record: &Record) -> Value {
    let code = |step: &Step| &record.codes[record.index[&(step.address, step.mode)]];
    // Without the distance from the symbol.
    let name = |step: &Step| -> String {
        let name = &code(step).function;
        name.split('+').next().unwrap_or_default().into()
    };
    let of_loader = |step: &Step| step.address < LOADER_END;
    let mut chapters = vec![(0, "stage 1".to_string())];
    for (n, pair) in record.steps.windows(2).enumerate() {
        let (step, next) = (&pair[0], &pair[1]);
        let in_main_line = of_loader(step) && name(step) == "stage2";
        let leaves = matches!(
            step.kind,
            Kind::Instruction(Flow::Call) | Kind::Instruction(Flow::Jump)
        );
        if of_loader(step) && !of_loader(next) {
            chapters.push((n + 1, "kernel".into()));
            break;
        } else if name(next) == "stage2" && name(step) != "stage2" && chapters.len() == 1 {
            chapters.push((n + 1, "stage 2".into()));
        } else if in_main_line && leaves && name(next) != "stage2" {
            chapters.push((n + 1, name(next)));
        }
    }
    json!(chapters)
}

/// Base64, with padding (RFC 4648).
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0u32, |number, &byte| number << 8 | u32::from(byte));
        for n in 0..4 {
            text.push(if n <= chunk.len() {
                DIGITS[(number >> (18 - 6 * n) & 63) as usize] as char
            } else {
                '='
            });
        }
    }
    text
}

/// SHA-256 (FIPS 180-4), in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    // The first 32 bits of the fractional parts of roots of the first primes.
    let primes = || (2u64..).filter(|n| (2..*n).all(|divisor| n % divisor != 0));
    let fraction = |root: f64| (root.fract() * 4_294_967_296.0) as u32;
    let constants: Vec<u32> = primes()
        .take(64)
        .map(|n| fraction((n as f64).cbrt()))
        .collect();
    let mut state: Vec<u32> = primes()
        .take(8)
        .map(|n| fraction((n as f64).sqrt()))
        .collect();

    let mut message = bytes.to_vec();
    message.push(0x80);
    message.resize((message.len() + 8).next_multiple_of(64) - 8, 0);
    message.extend((bytes.len() as u64 * 8).to_be_bytes());
    for block in message.chunks(64) {
        let mut words: Vec<u32> = block
            .chunks(4)
            .map(|word| u32::from_be_bytes(word.try_into().expect("four bytes")))
            .collect();
        for n in 16..64 {
            let (a, b) = (words[n - 15], words[n - 2]);
            let s0 = a.rotate_right(7) ^ a.rotate_right(18) ^ a >> 3;
            let s1 = b.rotate_right(17) ^ b.rotate_right(19) ^ b >> 10;
            words.push(
                words[n - 16]
                    .wrapping_add(s0)
                    .wrapping_add(words[n - 7])
                    .wrapping_add(s1),
            );
        }
        let mut now = state.clone();
        for n in 0..64 {
            let [a, b, c, d, e, f, g, h] = now[..] else {
                unreachable!("there are eight")
            };
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = e & f ^ !e & g;
            let one = h
                .wrapping_add(s1)
                .wrapping_add(choice)
                .wrapping_add(constants[n])
                .wrapping_add(words[n]);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let majority = a & b ^ a & c ^ b & c;
            let two = s0.wrapping_add(majority);
            now = vec![one.wrapping_add(two), a, b, c, d.wrapping_add(one), e, f, g];
        }
        for (state, now) in state.iter_mut().zip(now) {
            *state = state.wrapping_add(now);
        }
    }
    state.iter().map(|word| format!("{word:08x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn sha256_of_the_standard() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(
            sha256(two_blocks.as_bytes()),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        );
    }
}
