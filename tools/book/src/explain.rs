//! Sector 0 of an image, byte by byte: what each one is, where in the source it comes
//! from, and why it is there.
//!
//! The source is read line by line. An instruction's length is what the disassembler
//! finds in the image, a directive's what it stores; each must begin where the one
//! before has ended, and an instruction where the debugger's line table says. After the
//! code come the fields that the image builder fills. A byte that none of this explains
//! is an error.

use crate::quote::escape;
use crate::source::Source;
use crate::tools::{binutil, loader_elf, path};
use siso_image::layout::*;
use siso_image::qemu::Scratch;
use siso_image::{LOADER, SECTOR, checksum};
use std::collections::BTreeMap;

/// A line of a chapter that stands for the picture of sector 0.
pub const MARK: &str = "{{#sector0}}";
const FILE: &str = "boot/stage1.s";
/// The width of a line of the source.
const COLUMNS: usize = 80;
/// Where the partition table begins.
const TABLE: usize = 0x1be;
const ENTRY: usize = 16;
/// Where a floppy's boot sector describes the disk: from its name to the end of the
/// largest BIOS parameter block.
const HOLE: std::ops::Range<usize> = 0x03..0x5a;

/// What a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// An instruction.
    Code,
    /// A text or a number of the loader.
    Data,
    /// Nothing: a reserve.
    Free,
    /// A field that others read, too.
    Field,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Code => "code",
            Part::Data => "data",
            Part::Free => "free",
            Part::Field => "field",
        }
    }
}

/// A few bytes that belong together.
pub struct Row {
    /// Offset of the first one in the sector.
    pub offset: usize,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they belong to.
    pub part: Part,
    /// The instruction, or the field's value.
    pub what: String,
    /// The code in the source, if it comes from there.
    pub source: String,
    /// The line of [`FILE`], if it comes from there.
    pub line: Option<usize>,
    /// Why it is there.
    pub why: String,
}

/// Explains sector 0 of an image.
pub fn sector0(image: &[u8]) -> Result<Vec<Row>, String> {
    let stage2 = (STAGE2_END - STAGE1_BASE) as usize;
    if image.len() < stage2 {
        return Err("it is shorter than the loader".into());
    }
    let sector = &image[..SECTOR];
    unchanged(sector, checksum::stage2(&image[SECTOR..stage2]))?;
    let mut rows = stage1(sector)?;
    fields(sector, &mut rows);
    check(sector, &rows)?;
    Ok(rows)
}

/// The rows that come from the source.
fn stage1(sector: &[u8]) -> Result<Vec<Row>, String> {
    let source = Source::read(FILE)?;
    let addresses = line_table()?;
    let mut instructions = disassemble(sector)?;
    let (mut rows, mut at) = (Vec::new(), 0);
    let (mut routine, mut contract) = (String::new(), false);
    for (index, line) in source.lines.iter().enumerate() {
        let number = index + 1;
        if !line.is_code {
            // The first line of a contract: the routine's name and purpose.
            match line
                .comment
                .map(|start| line.text[start..].trim_matches(['#', ' ']))
            {
                Some(text) if !contract => {
                    if let Some((name, purpose)) = text.split_once(" - ") {
                        routine = format!("{}: {purpose}", name.trim_end_matches(".s"));
                    }
                    contract = true;
                }
                Some(_) => {}
                None => contract = false,
            }
            continue;
        }
        contract = false;
        let code = line.text[..line.comment.unwrap_or(line.text.len())].trim();
        let code = code.split_once(':').map_or(code, |(label, rest)| {
            if label.contains([' ', '"', '\t', '%']) {
                code
            } else {
                rest.trim()
            }
        });
        if code == ".bss" {
            break;
        }
        let why = match comment(&source, index) {
            Some(text) => text,
            None => format!("part of {routine}"),
        };
        let (length, part, what) = match addresses.get(&number) {
            Some(&address) => {
                if address != at {
                    return Err(format!(
                        "{FILE}:{number} is at {address:#05x}, not at {at:#05x}"
                    ));
                }
                let found = instructions.remove(&at);
                let (length, text) = found.ok_or_else(|| unexplained(sector, at))?;
                (length, Part::Code, text)
            }
            None => {
                let end =
                    directive(code, at).map_err(|error| format!("{FILE}:{number}: {error}"))?;
                let fills = code.starts_with(".org");
                let part = if fills { Part::Free } else { Part::Data };
                let what = match (part, code.split_once(char::is_whitespace)) {
                    (Part::Free, _) => "zeros",
                    (_, Some((".ascii" | ".asciz", _))) => "text",
                    _ => "number",
                };
                (end - at, part, what.to_string())
            }
        };
        if length > 0 {
            let bytes = sector
                .get(at..at + length)
                .ok_or("the source has more than 512 bytes")?;
            rows.push(Row {
                offset: at,
                bytes: bytes.to_vec(),
                part,
                what,
                source: code.split_whitespace().collect::<Vec<_>>().join(" "),
                line: Some(number),
                why: if part == Part::Free {
                    "free: fills up to the next part".into()
                } else {
                    why
                },
            });
        }
        at += length;
    }
    let end = (STAGE1_END - STAGE1_BASE) as usize;
    if at != end {
        return Err(format!(
            "the source ends at {at:#05x}, the code at {end:#05x}"
        ));
    }
    Ok(rows)
}

/// The comment at the end of a line. It may be part of one that goes on over several
/// lines: a line ends where the next word would not fit.
fn comment(source: &Source, index: usize) -> Option<String> {
    let own = |index: usize| {
        let line = source.lines.get(index).filter(|line| line.is_code)?;
        Some(line.text[line.comment?..].trim_start_matches('#').trim())
    };
    let goes_on = |index: usize| {
        let (this, next) = (own(index)?, own(index + 1)?);
        if this.ends_with('.') {
            return None;
        }
        let word = next.split(' ').next()?;
        (source.lines[index].text.len() + 1 + word.len() > COLUMNS).then_some(())
    };
    own(index)?;
    let (mut first, mut last) = (index, index);
    while first > 0 && own(first - 1).is_some() && goes_on(first - 1).is_some() {
        first -= 1;
    }
    while goes_on(last).is_some() {
        last += 1;
    }
    let parts: Vec<&str> = (first..=last).filter_map(own).collect();
    Some(parts.join(" "))
}

/// The address in the sector of each line that is an instruction, from the line table.
fn line_table() -> Result<BTreeMap<usize, usize>, String> {
    let scratch = Scratch::new().map_err(|error| error.to_string())?;
    let elf = loader_elf(scratch.path())?;
    let listing = binutil("objdump", &["--dwarf=decodedline", path(&elf)])?;
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (file, number, address) = (words.next()?, words.next()?, words.next()?);
        let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
        let offset = address.checked_sub(STAGE1_BASE)?;
        let in_sector = file == "stage1.s" && address < STAGE1_END;
        in_sector.then_some((number.parse().ok()?, offset as usize))
    };
    Ok(listing.lines().filter_map(row).collect())
}

/// The length and the text of the instruction at each offset of the sector's code,
/// which ends with the sector's other fields.
fn disassemble(sector: &[u8]) -> Result<BTreeMap<usize, (usize, String)>, String> {
    let scratch = Scratch::new().map_err(|error| error.to_string())?;
    let file = scratch.path().join("sector");
    std::fs::write(&file, sector).map_err(|error| error.to_string())?;
    let mut found = BTreeMap::new();
    // Data would be taken for code: each part of the code is disassembled by itself.
    for (start, end) in [(0, HOLE.start), (HOLE.end, DISK_SIGNATURE as usize)] {
        let base = format!("--adjust-vma={STAGE1_BASE}");
        let start = format!("--start-address={}", STAGE1_BASE as usize + start);
        let end = format!("--stop-address={}", STAGE1_BASE as usize + end);
        let mut arguments = vec!["-D", "-b", "binary", "-m", "i8086", "-w"];
        arguments.extend([base.as_str(), &start, &end, path(&file)]);
        for line in binutil("objdump", &arguments)?.lines() {
            let mut cells = line.split('\t');
            let (Some(at), Some(bytes), Some(text)) = (cells.next(), cells.next(), cells.next())
            else {
                continue;
            };
            if let Ok(at) = usize::from_str_radix(at.trim().trim_end_matches(':'), 16) {
                let length = bytes.split_whitespace().count();
                let words: Vec<&str> = text.split_whitespace().collect();
                found.insert(at - STAGE1_BASE as usize, (length, words.join(" ")));
            }
        }
    }
    Ok(found)
}

/// Where a directive ends that stands at this offset.
fn directive(code: &str, at: usize) -> Result<usize, String> {
    let (name, rest) = code.split_once(char::is_whitespace).unwrap_or((code, ""));
    let items = rest.split(',').count();
    Ok(match name {
        "" | ".include" | ".set" | ".section" | ".code16" | ".globl" => at,
        ".byte" => at + items,
        ".word" => at + 2 * items,
        ".long" => at + 4 * items,
        ".quad" => at + 8 * items,
        ".ascii" => at + string_bytes(rest)?,
        ".asciz" => at + string_bytes(rest)? + 1,
        ".org" => {
            let offset = rest.trim().strip_prefix("stage1 + 0x");
            let offset = offset.and_then(|offset| usize::from_str_radix(offset, 16).ok());
            offset.ok_or_else(|| format!("cannot read '{rest}'"))?
        }
        _ => return Err(format!("nothing explains '{code}'")),
    })
}

/// The bytes that a string of the assembler has.
fn string_bytes(quoted: &str) -> Result<usize, String> {
    let inner = quoted
        .trim()
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let inner = inner.ok_or_else(|| format!("{quoted} is no string"))?;
    Ok(inner.len() - inner.matches('\\').count())
}

/// The fields after the code.
fn fields(sector: &[u8], rows: &mut Vec<Row>) {
    let signature = DISK_SIGNATURE as usize;
    let mut field = |offset: usize, length: usize, part: Part, what: &str, why: &str| {
        if length > 0 {
            rows.push(Row {
                offset,
                bytes: sector[offset..offset + length].to_vec(),
                part,
                what: what.into(),
                source: String::new(),
                line: None,
                why: why.into(),
            });
        }
    };
    let code = (STAGE1_END - STAGE1_BASE) as usize;
    let number = |offset: usize| {
        let bytes = sector[offset..offset + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes)
    };
    field(
        code,
        signature - code,
        Part::Free,
        "zeros",
        "free: the code may grow up to here",
    );
    field(
        signature,
        4,
        Part::Field,
        &format!("disk signature {:#010x}", number(signature)),
        "by which systems tell disks apart; the image builder writes stage 2's checksum here",
    );
    field(
        signature + 4,
        2,
        Part::Field,
        "zero",
        "reserved in a master boot record",
    );
    let chs = "head, sector and cylinder: BIOSes derive the disk's geometry from the last one";
    field(
        TABLE,
        1,
        Part::Field,
        "0x80: active",
        "partition 1: some BIOSes boot only a disk with one active partition",
    );
    field(TABLE + 1, 3, Part::Field, "first sector as CHS", chs);
    field(
        TABLE + 4,
        1,
        Part::Field,
        "type 0x7f",
        "for individual use: no system mounts it",
    );
    field(TABLE + 5, 3, Part::Field, "last sector as CHS", chs);
    field(
        TABLE + 8,
        4,
        Part::Field,
        &format!("first sector: {}", number(TABLE + 8)),
        "right after this one, so that the partition holds all that is read",
    );
    field(
        TABLE + 12,
        4,
        Part::Field,
        &format!("sectors: {}", number(TABLE + 12)),
        "up to the end of a cylinder",
    );
    for n in 1..4 {
        let what = format!("partition {}: none", n + 1);
        field(
            TABLE + n * ENTRY,
            ENTRY,
            Part::Field,
            &what,
            "all zero: the entry is not used",
        );
    }
    field(
        SECTOR - 2,
        2,
        Part::Field,
        "0xaa55",
        "the mark without which no BIOS boots a disk",
    );
}

/// Every byte is in exactly one row, and the fields hold what their rows say.
fn check(sector: &[u8], rows: &[Row]) -> Result<(), String> {
    let mut at = 0;
    for row in rows {
        if row.offset != at {
            return Err(unexplained(sector, at));
        }
        let wanted: Option<&[u8]> = match row.what.as_str() {
            "0x80: active" => Some(&[0x80]),
            "type 0x7f" => Some(&[0x7f]),
            "0xaa55" => Some(&[0x55, 0xaa]),
            what if what.ends_with("none") || what.starts_with("zero") => Some(&[]),
            _ => None,
        };
        for (n, &byte) in row.bytes.iter().enumerate() {
            if wanted.is_some_and(|wanted| byte != wanted.get(n).copied().unwrap_or(0)) {
                return Err(unexplained(sector, at + n));
            }
        }
        if row.why.is_empty() {
            return Err(unexplained(sector, at));
        }
        at += row.bytes.len();
    }
    if at == SECTOR {
        Ok(())
    } else {
        Err(unexplained(sector, at))
    }
}

/// The loader's own bytes are those that were linked, besides stage 2's checksum.
fn unchanged(sector: &[u8], stage2: u32) -> Result<(), String> {
    let checksum = (STAGE2_CHECKSUM - STAGE1_BASE) as usize;
    let mut linked = LOADER[..SECTOR].to_vec();
    linked[checksum..checksum + 4].copy_from_slice(&stage2.to_le_bytes());
    match (0..DISK_SIGNATURE as usize).find(|&at| sector[at] != linked[at]) {
        Some(at) => Err(unexplained(sector, at)),
        None => Ok(()),
    }
}

fn unexplained(sector: &[u8], at: usize) -> String {
    format!(
        "sector 0: nothing explains byte {at:#05x}, which is {:#04x}",
        sector[at]
    )
}

/// All rows as text, and a summary.
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        for (n, bytes) in row.bytes.chunks(8).enumerate() {
            let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            text += &format!("{:#05x}  {:23}", row.offset + n * 8, bytes.join(" "));
            if n == 0 {
                let line = row
                    .line
                    .map_or("-".into(), |line| format!("stage1.s:{line}"));
                text += &format!("  {:26}  {line:12}  ", row.what);
                if !row.source.is_empty() {
                    text += &format!("{:34} # ", row.source);
                }
                text += &row.why;
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
    }
    text + &summary(rows)
}

/// How many bytes there are of each part.
fn summary(rows: &[Row]) -> String {
    let count = |part: Part| -> usize {
        let of_part = rows.iter().filter(|row| row.part == part);
        of_part.map(|row| row.bytes.len()).sum()
    };
    format!(
        "512 bytes: {} of code, {} of texts and data, {} of fields that others read, {} free\n",
        count(Part::Code),
        count(Part::Data),
        count(Part::Field),
        count(Part::Free)
    )
}

/// A picture in which one can point at a byte.
pub fn html(rows: &[Row]) -> String {
    let mut html = String::from(
        "<figure class=\"sector0\" aria-label=\"The 512 bytes of sector 0\"><div class=\"bytes\">\n",
    );
    for row in rows {
        let hole = if HOLE.contains(&row.offset) {
            " hole"
        } else {
            ""
        };
        let line = row.line.map_or(String::new(), |line| {
            format!(" <small>stage1.s:{line}</small>")
        });
        html += &format!("<span class=\"row {}{hole}\">", row.part.name());
        // The Tab key stops at the first byte only; a finger may touch any.
        for (n, byte) in row.bytes.iter().enumerate() {
            let stop = if n == 0 { 0 } else { -1 };
            html += &format!("<i tabindex=\"{stop}\">{byte:02x}</i>");
        }
        html += &format!(
            "<span class=\"tip\"><b>{:#05x}</b> <code>{}</code>{line} <code>{}</code><br>{}</span></span>\n",
            row.offset,
            escape(&row.what),
            escape(&row.source),
            escape(&row.why)
        );
    }
    html += &format!(
        "</div><figcaption>Point at a byte, or step through them with the Tab key. {}</figcaption></figure>\n",
        summary(rows).trim_end()
    );
    html
}
