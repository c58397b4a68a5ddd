//! The student's folder, and the file in it, which is not trusted: the assembler must read
//! nothing else of this machine.

use crate::bug;
use crate::lab::{Kind, Lab};
use siso_book::top;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The most bytes that a student's file may have; the project's longest has some 12,000.
const BYTES_MAX: u64 = 256 << 10;

/// The directives that a student's file must not have, and why. Without macros, a
/// directive stands in the text as it is, so this finds all of them.
const REFUSED: [(&str, &str); 6] = [
    (".incbin", "it would read a file of this machine"),
    (".macro", "the labs do without macros"),
    (".irp", "the labs do without macros"),
    (".altmacro", "the labs do without macros"),
    (".mri", "it changes what the other directives are called"),
    (".linefile", "it would hide where a line is"),
];

/// The folder in which a student works on a lab. `labs` has those of all labs.
pub fn folder(labs: &Path, lab: &Lab) -> PathBuf {
    labs.join(&lab.name)
}

/// The path of the student's file, from the top folder on, wherever it is.
pub fn shown(lab: &Lab) -> String {
    format!("labs/{}/{}", lab.name, lab.file_name())
}

/// The words that a file in Rust must not have, not even in a comment, and why. No macro can
/// put a word together, so this finds all of them.
const WORDS: [(&str, &str); 11] = [
    ("include", READS),
    ("include_str", READS),
    ("include_bytes", READS),
    ("path", READS),
    ("debugger_visualizer", READS),
    ("env", SHOWS),
    ("option_env", SHOWS),
    ("asm", NO_ASSEMBLY),
    ("global_asm", NO_ASSEMBLY),
    ("naked_asm", NO_ASSEMBLY),
    ("extern", "there is nothing else to link"),
];
const READS: &str = "it can read a file of this machine";
const SHOWS: &str = "it shows what is set on this machine";
const NO_ASSEMBLY: &str = "this lab does without assembly";

/// Makes the student's folder; returns what was done, in a sentence. What is there
/// already stays as it is.
pub fn make(labs: &Path, lab: &Lab, kernel: &Path) -> Result<String, String> {
    let folder = folder(labs, lab);
    let about = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(about)?;
    let page = fs::read_to_string(lab.folder().join("README.md")).map_err(about)?;
    // Its links are from `docs/labs/NAME`.
    let page = page.replace("](../../", "](../../docs/");
    add(&folder.join("README.md"), &page).map_err(about)?;
    let added = add(&folder.join(lab.file_name()), &lab.start()?).map_err(about)?;
    if lab.kind == Kind::Bug && !folder.join(bug::FILES[0]).exists() {
        bug::make(lab, &folder, kernel)?;
    }
    let shown = shown(lab);
    Ok(match added {
        true => format!(
            "{shown} is yours to write, and labs/{0}/README.md says what it must do. \
             Then: make grade LAB={0}",
            lab.name
        ),
        false => format!("{shown} is there already, and stays as you wrote it."),
    })
}

/// The next hint that the student has not seen. How many were seen is in the folder.
pub fn hint(labs: &Path, lab: &Lab) -> Result<String, String> {
    let text = fs::read_to_string(lab.folder().join("hints.md"));
    let text = text.map_err(|error| format!("the hints of {}: {error}", lab.name))?;
    let hints: Vec<&str> = text.split("\n## ").skip(1).collect();
    let folder = folder(labs, lab);
    if !folder.exists() {
        return Err(format!("begin with make lab LAB={}", lab.name));
    }
    let count = folder.join(".hints");
    let seen = fs::read_to_string(&count).unwrap_or_default();
    let seen: usize = seen.trim().parse().unwrap_or(0);
    let Some(hint) = hints.get(seen) else {
        return Ok(format!(
            "All {} hints were shown.\n\n{}",
            hints.len(),
            text.trim()
        ));
    };
    fs::write(&count, format!("{}\n", seen + 1)).map_err(|error| error.to_string())?;
    Ok(format!(
        "hint {} of {}: {}",
        seen + 1,
        hints.len(),
        hint.trim()
    ))
}

/// Writes a file unless it exists. Whether it did not.
fn add(file: &Path, text: &str) -> std::io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads the student's file.
pub fn read(labs: &Path, lab: &Lab) -> Result<String, String> {
    let file = folder(labs, lab).join(lab.file_name());
    let shown = shown(lab);
    let missing = |_| format!("{shown} is not there: begin with make lab LAB={}", lab.name);
    let about = fs::symlink_metadata(&file).map_err(missing)?;
    // A pipe or a device may never end, and a link may lead anywhere.
    if !about.is_file() {
        return Err(format!("{shown} is not a file of its own"));
    }
    if about.len() > BYTES_MAX {
        return Err(format!(
            "{shown} has {} bytes; a lab's file has at most {BYTES_MAX}",
            about.len()
        ));
    }
    let bytes = fs::read(&file).map_err(|error| format!("{shown}: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("{shown} is not a text in UTF-8"))
}

/// Why a student's file is not built: the sentence names the line.
pub fn refused(lab: &Lab, text: &str) -> Option<String> {
    match lab.kind {
        Kind::Kernel => refused_rust(lab, text),
        _ => refused_assembly(lab, text),
    }
}

fn refused_rust(lab: &Lab, text: &str) -> Option<String> {
    for (index, line) in text.lines().enumerate() {
        // An r# before a word is a word by itself then.
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        for word in line.split(|c| !is_part(c)) {
            if let Some((word, why)) = WORDS.iter().find(|(refused, _)| *refused == word) {
                return Some(format!(
                    "{}:{}: the word `{word}` is refused, in a comment, too: {why}",
                    shown(lab),
                    index + 1
                ));
            }
        }
    }
    None
}

fn refused_assembly(lab: &Lab, text: &str) -> Option<String> {
    let ours = |name: &str| {
        let is_name = name.strip_suffix(".inc").is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        is_name && top().join("boot").join(name).is_file()
    };
    for (index, line) in text.lines().enumerate() {
        let lower = line.to_ascii_lowercase();
        let at = format!("{}:{}", shown(lab), index + 1);
        for (directive, why) in REFUSED {
            if lower.contains(directive) {
                return Some(format!("{at}: `{directive}` is refused: {why}"));
            }
        }
        for (start, _) in lower.match_indices(".include") {
            let rest = line[start + ".include".len()..].trim_start();
            let name = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
            if !name.is_some_and(|(name, _)| ours(name)) {
                return Some(format!(
                    "{at}: `.include` is refused: only files of boot/ such as \"pc.inc\" can be included"
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_files_is_refused() {
        let lab = Lab::named("a20").expect("there is such a lab");
        let refuses = |text: &str| refused(&lab, text).unwrap_or_default();
        for text in [
            "x: .incbin \"/etc/passwd\"",
            " .INCBIN \"/etc/passwd\"",
            " .include \"/etc/passwd\"",
            " .include \"../../etc/passwd\"",
            " .include \"layout.inc\"; .include \"/etc/passwd\"",
            " .include layout.inc",
            " .macro m a\n .inc\\a \"/etc/passwd\"\n .endm\n m bin",
            " .irp x, bin\n .inc\\x \"/etc/passwd\"\n .endr",
            " .mri 1\n INCBIN \"/etc/passwd\"",
        ] {
            assert!(refuses(text).contains("is refused"), "{text}");
        }
        let lab = Lab::named("vga").expect("there is such a lab");
        let refuses = |text: &str| refused(&lab, text).unwrap_or_default();
        for text in [
            "const X: &str = include_str!(\"/etc/passwd\");",
            "const X: &[u8] = core::include_bytes ! (\"/etc/passwd\");",
            "use core::r#include as x;",
            "macro_rules! m { ($m:ident) => { $m!(\"/etc/passwd\") } }\nm!(include);",
            "#[cfg_attr(all(), path = \"/etc/passwd\")]\nmod x;",
            "#![debugger_visualizer(gdb_script_file = \"/etc/passwd\")]",
            "core::arch::global_asm!(concat!(\".inc\", \"bin \\\"/etc/passwd\\\"\"));",
            "unsafe { core::arch::asm!(\".include \\\"/etc/passwd\\\"\") }",
            "const X: &str = env!(\"HOME\");",
            "const X: Option<&str> = option_env!(\"HOME\");",
            "extern crate std;",
            "#[link(name = \"c\", kind = \"static\")]\nunsafe extern \"C\" {}",
        ] {
            assert!(refuses(text).contains("is refused"), "{text}");
        }
        assert!(refuses("\nenv!(\"HOME\")").starts_with("labs/vga/vga.rs:2: "));
        assert_eq!(refuses("includes the environment, a pathological case"), "");
        let lab = Lab::named("a20").expect("there is such a lab");
        let refuses = |text: &str| refused(&lab, text).unwrap_or_default();
        assert!(refuses("\n .incbin \"x\"").starts_with("labs/a20/a20.s:2: "));
        for lab in Lab::all().expect("they can be read") {
            let text = lab.solution().expect("it can be read");
            assert_eq!(refused(&lab, &text), None);
        }
    }
}
