//! What a lab is: `docs/labs/NAME/lab.toml`, and the hole in the source.

use siso_book::quote::Quote;
use siso_book::source::Source;
use siso_book::top;
use siso_image::qemu::COLUMNS;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use toml_edit::{DocumentMut, Item, Table};

/// What a student writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A routine of the loader.
    Loader,
    /// A module of the kernel, in Rust.
    Kernel,
    /// A boot sector of their own.
    Sector,
    /// Answers to the questions about an image with a bug.
    Bug,
}

/// A lab.
pub struct Lab {
    /// What the student writes.
    pub kind: Kind,
    /// The name of its folder.
    pub name: String,
    /// Its place in the order of the boot.
    pub number: i64,
    /// What the student does, in a few words.
    pub title: String,
    /// The file with the hole, from the top folder on.
    pub file: String,
    /// What is taken out of it.
    holes: Vec<Hole>,
    /// The change of the loader that is the bug.
    pub change: String,
    /// The symbol of the routine to watch; none of a boot sector.
    pub routine: String,
    /// The registers that the routine must not change.
    pub keeps: Vec<String>,
    /// What it must leave behind as the project's own routine does: see [`crate::state`].
    pub state: Vec<String>,
    /// Words of what the grader says against the start.
    pub start_says: String,
    /// What is graded. The first check must pass before any other is tried.
    pub checks: Vec<Check>,
}

/// The lines from one part of the file to another, and what is there instead. A part is
/// named as in a quote of the book: an anchor, or an item of Rust.
struct Hole {
    from: String,
    to: String,
    text: String,
}

/// A machine to boot on, and what must happen there.
#[derive(Clone, Debug)]
pub struct Check {
    /// What the machine is like.
    pub name: String,
    /// What the check is worth.
    pub points: u32,
    /// Settings of the BIOS that misbehaves; none: the real BIOS.
    pub bios: Option<String>,
    /// The memory map that it reports: address, length, type, attributes.
    pub map: Vec<(u64, u64, u32, u32)>,
    /// Whether it is made on Bochs.
    pub bochs: bool,
    /// More arguments for QEMU.
    pub qemu: Vec<String>,
    /// The part of the image in which a bit is wrong.
    pub damage: Option<String>,
    /// Whether the memory in which the kernel belongs is full of other bytes.
    pub garbage: bool,
    /// Which call of the routine is watched: usually the first.
    pub call: u32,
    /// For so many of the routine's first instructions, bytes that are 1 MiB apart are equal.
    pub equal: u32,
    /// What the lab's kernel is told to do.
    pub run: String,
    /// What must be on the screen then, besides what was there before.
    pub screen: Vec<Cells>,
    /// The cell of the cursor, counted from the upper left corner.
    pub cursor: u64,
    /// How the boot must end, or what the answer must be.
    pub wants: Wants,
    /// The page that explains it.
    pub page: String,
}

/// Cells of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells {
    /// The first one, counted from the upper left corner.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// Their colours: background << 4 | foreground.
    pub colors: u8,
    /// The text in them; the rest are blanks.
    pub text: String,
}

/// How a boot must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wants {
    /// The kernel starts.
    Boots,
    /// The loader shows an error that begins like this.
    Error(String),
    /// This is on the screen.
    Shows(String),
    /// The screen is as [`Check::screen`] says.
    Screen,
    /// A line of the student's file has this name and one of these values.
    Answer(String, Vec<String>),
}

impl Lab {
    /// The lab of this name.
    pub fn named(name: &str) -> Result<Lab, String> {
        let all = Lab::all()?;
        let names: Vec<&str> = all.iter().map(|lab| lab.name.as_str()).collect();
        let unknown = format!(
            "there is no lab '{name}'; the labs are {}",
            names.join(", ")
        );
        all.into_iter().find(|lab| lab.name == name).ok_or(unknown)
    }

    /// All labs in the order of the boot.
    pub fn all() -> Result<Vec<Lab>, String> {
        let folder = folder();
        let about = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut labs = Vec::new();
        for entry in fs::read_dir(&folder).map_err(about)? {
            let entry = entry.map_err(about)?;
            let file = entry.path().join("lab.toml");
            if let Ok(text) = fs::read_to_string(&file) {
                let name = entry.file_name().to_string_lossy().into_owned();
                let lab = Lab::parse(&name, &text);
                labs.push(lab.map_err(|error| format!("{}: {error}", file.display()))?);
            }
        }
        labs.sort_by_key(|lab| lab.number);
        Ok(labs)
    }

    fn parse(name: &str, text: &str) -> Result<Lab, String> {
        let document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| error.to_string())?;
        let table = document.as_table();
        let tables = |name: &str| {
            let tables = table.get(name).and_then(Item::as_array_of_tables);
            tables.into_iter().flatten()
        };
        let hole = |table: &Table| -> Result<Hole, String> {
            Ok(Hole {
                from: text_of(table, "from")?,
                to: text_of(table, "to")?,
                text: text_of(table, "text")?,
            })
        };
        let kind = match table.get("kind").and_then(Item::as_str) {
            None => Kind::Loader,
            Some("sector") => Kind::Sector,
            Some("kernel") => Kind::Kernel,
            Some("bug") => Kind::Bug,
            Some(other) => return Err(format!("there is no kind '{other}'")),
        };
        let change = match kind {
            Kind::Bug => hidden(&text_of(table, "change")?)?,
            _ => String::new(),
        };
        Ok(Lab {
            kind,
            change,
            name: name.into(),
            number: number_of(table, "number")?,
            title: text_of(table, "title")?,
            file: text_of(table, "file")?,
            holes: tables("hole").map(hole).collect::<Result<_, _>>()?,
            routine: match kind {
                Kind::Loader => text_of(table, "routine")?,
                _ => String::new(),
            },
            keeps: words_of(table, "keeps"),
            state: words_of(table, "state"),
            start_says: text_of(table, "start_says")?,
            checks: tables("check").map(check).collect::<Result<_, _>>()?,
        })
    }

    /// The folder with its texts.
    pub fn folder(&self) -> PathBuf {
        folder().join(&self.name)
    }

    /// The name of the file that the student writes.
    pub fn file_name(&self) -> &str {
        let name = self.file.rsplit('/').next();
        name.unwrap_or(&self.file)
    }

    /// All points that can be had.
    pub fn points(&self) -> u32 {
        self.checks.iter().map(|check| check.points).sum()
    }

    /// The solution: the project's own file, if the lab has a hole in it.
    pub fn solution(&self) -> Result<String, String> {
        match self.kind {
            Kind::Loader | Kind::Kernel => siso_book::read(&self.file),
            Kind::Sector => fs::read_to_string(self.folder().join("solution"))
                .map_err(|error| format!("the solution of {}: {error}", self.name)),
            Kind::Bug => Ok(self
                .checks
                .iter()
                .filter_map(|check| match &check.wants {
                    Wants::Answer(name, values) => Some(format!("{name} = {}\n", values[0])),
                    _ => None,
                })
                .collect()),
        }
    }

    /// What a student begins with: the same without the lines of the holes, and without
    /// the marks of the book.
    pub fn start(&self) -> Result<String, String> {
        // Not every lab has a hole, and a student's copy has nothing to cut it out of.
        if let Ok(start) = fs::read_to_string(self.folder().join("start")) {
            return Ok(start);
        }
        let source = Source::read(&self.file)?;
        let mut holes: Vec<(Range<usize>, &str)> = Vec::new();
        for hole in &self.holes {
            let (from, to) = (
                self.part(&source, &hole.from)?,
                self.part(&source, &hole.to)?,
            );
            holes.push((from.start..to.end, &hole.text));
        }
        let mut text = String::new();
        for (index, line) in source.lines.iter().enumerate() {
            match holes.iter().find(|(range, _)| range.contains(&index)) {
                Some((range, instead)) if range.start == index => text += instead,
                Some(_) => {}
                None if line.is_mark() => {}
                None => {
                    text += &line.text;
                    text.push('\n');
                }
            }
        }
        Ok(text)
    }

    /// The lines of a part of the file, with its marks.
    fn part(&self, source: &Source, name: &str) -> Result<Range<usize>, String> {
        let quote = Quote {
            file: self.file.clone(),
            anchor: name.into(),
        };
        let lines = quote.lines(source)?;
        Ok(match name.starts_with('>') {
            true => lines, // it has none
            false => lines.start - 1..lines.end + 1,
        })
    }
}

fn folder() -> PathBuf {
    top().join("docs/labs")
}

fn check(table: &Table) -> Result<Check, String> {
    let wants = match text_of(table, "answer") {
        Ok(text) => {
            let values = hidden(&text)?;
            let values = values.split(',').map(|value| value.trim().into());
            Wants::Answer(text_of(table, "question")?, values.collect())
        }
        Err(_) => match text_of(table, "wants")?.as_str() {
            "boots" => Wants::Boots,
            "this screen" => Wants::Screen,
            other => match other.strip_prefix("shows ") {
                Some(text) => Wants::Shows(text.into()),
                None => Wants::Error(other.into()),
            },
        },
    };
    let entry = |entry: &toml_edit::Value| {
        let mut numbers = entry.as_array()?.iter().map(|number| number.as_integer());
        let mut next = || numbers.next().flatten();
        Some((
            next()? as u64,
            next()? as u64,
            next()? as u32,
            next()? as u32,
        ))
    };
    let map = table.get("map").and_then(Item::as_array);
    let map: Option<Vec<_>> = map.into_iter().flatten().map(entry).collect();
    let cells = |part: &toml_edit::Value| {
        let part = part.as_array()?;
        let number = |n: usize| part.get(n)?.as_integer();
        let (row, column) = (number(0)?, number(1)?);
        Some(Cells {
            first: usize::try_from(row).ok()? * COLUMNS + usize::try_from(column).ok()?,
            count: usize::try_from(number(2)?).ok()?,
            colors: u8::try_from(number(3)?).ok()?,
            text: part.get(4)?.as_str()?.into(),
        })
    };
    let screen = table.get("screen").and_then(Item::as_array);
    let screen: Option<Vec<_>> = screen.into_iter().flatten().map(cells).collect();
    let number = |name: &str| table.get(name).and_then(Item::as_integer);
    let (cursor, equal, call) = (number("cursor"), number("equal"), number("call"));
    let optional = |name: &str| table.get(name).and_then(Item::as_str).map(String::from);
    Ok(Check {
        name: text_of(table, "name")?,
        points: u32::try_from(number_of(table, "points")?).map_err(|error| error.to_string())?,
        bios: optional("bios"),
        map: map.ok_or("an entry of `map` has four numbers")?,
        bochs: match optional("emulator").as_deref() {
            None => false,
            Some("bochs") => true,
            Some(other) => return Err(format!("there is no emulator '{other}'")),
        },
        qemu: words_of(table, "qemu"),
        damage: optional("damage"),
        garbage: table.get("garbage").and_then(Item::as_bool) == Some(true),
        call: u32::try_from(call.unwrap_or(1)).map_err(|error| error.to_string())?,
        equal: u32::try_from(equal.unwrap_or(0)).map_err(|error| error.to_string())?,
        run: optional("run").unwrap_or_default(),
        screen: screen.ok_or("a part of `screen` is row, column, cells, colours, text")?,
        cursor: u64::try_from(cursor.unwrap_or(0)).map_err(|error| error.to_string())?,
        wants,
        page: text_of(table, "page")?,
    })
}

/// A text that nobody should read at a glance: hexadecimal digits of its bytes, each with
/// some bits flipped.
pub fn hidden(digits: &str) -> Result<String, String> {
    let digits: String = digits.split_whitespace().collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    let bytes = bytes.map(|bytes| bytes.iter().map(|byte| byte ^ HIDDEN).collect());
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| "a hidden text is not one".into())
}

const HIDDEN: u8 = 0x5a;

fn text_of(table: &Table, name: &str) -> Result<String, String> {
    let text = table.get(name).and_then(Item::as_str);
    text.map(String::from)
        .ok_or_else(|| format!("`{name}` must be a text"))
}

fn number_of(table: &Table, name: &str) -> Result<i64, String> {
    let number = table.get(name).and_then(Item::as_integer);
    number.ok_or_else(|| format!("`{name}` must be a number"))
}

fn words_of(table: &Table, name: &str) -> Vec<String> {
    let words = table.get(name).and_then(Item::as_array);
    words
        .into_iter()
        .flatten()
        .filter_map(|word| word.as_str())
        .map(String::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_field_is_named() {
        let error = Lab::parse("x", "number = 1\n").err();
        assert_eq!(error.as_deref(), Some("`title` must be a text"));
        assert!(Lab::parse("x", "number = ").is_err());
    }

    #[test]
    fn a_hidden_text_is_read() {
        assert_eq!(hidden("323b 36 2e").as_deref(), Ok("halt"));
        assert!(hidden("xy").is_err());
    }
}
