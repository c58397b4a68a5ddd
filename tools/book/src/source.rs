//! The source files that the book quotes, line by line.

use crate::read;

/// The files of which the book quotes every line of code exactly once, besides all of
/// `boot/`.
const OTHERS: [&str; 3] = ["src/main.rs", "linker.ld", "x86_64-siso_os.json"];

/// The paths of all files that the book quotes completely, in alphabetical order.
pub fn quoted_files() -> Vec<String> {
    let folder = std::fs::read_dir(crate::top().join("boot")).expect("boot/ can be read");
    let names = folder.map(|file| file.expect("it has a name").file_name());
    let mut files: Vec<String> = names
        .map(|name| format!("boot/{}", name.to_string_lossy()))
        .chain(OTHERS.map(String::from))
        .collect();
    files.sort();
    files
}

/// How a file's comments look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comments {
    /// `# to the end of the line`, in assembly.
    Hash,
    /// `/* up to here */`, in linker scripts.
    Block,
    /// `// to the end of the line`, in Rust.
    Slashes,
    /// None: JSON.
    None,
}

/// A source file.
pub struct Source {
    /// Its path from the top folder on.
    pub path: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line of a source file.
pub struct Line {
    /// The line as it stands in the file.
    pub text: String,
    /// Its bytes of comment, from the first one to the end of the line.
    pub comment: Option<usize>,
    /// Whether there is anything but blanks before the comment.
    pub is_code: bool,
}

impl Line {
    /// Whether it marks the beginning or end of a part for the book.
    pub fn is_mark(&self) -> bool {
        !self.is_code && (self.text.contains("ANCHOR: ") || self.text.contains("ANCHOR_END: "))
    }

    /// Whether it is empty.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

impl Source {
    /// Reads a file.
    pub fn read(path: &str) -> Result<Source, String> {
        Ok(Source::of(path, &read(path)?))
    }

    /// A source file with this text.
    pub fn of(path: &str, text: &str) -> Source {
        let comments = comments(path);
        let mut inside = false;
        let line = |text: &str| {
            let comment = comment(text, comments, &mut inside);
            Line {
                text: text.into(),
                comment,
                is_code: !text[..comment.unwrap_or(text.len())].trim().is_empty(),
            }
        };
        Source {
            path: path.into(),
            lines: text.lines().map(line).collect(),
        }
    }

    /// The lines between the marks of an anchor, as indices, without the marks.
    pub fn anchor(&self, name: &str) -> Result<std::ops::Range<usize>, String> {
        let mark = |kind: &str| {
            let mark = format!("{kind}: {name}");
            let is_it = |line: &Line| {
                let text = line.text.trim_end_matches("*/").trim_end();
                line.is_mark() && text.ends_with(&mark)
            };
            let mut found = self
                .lines
                .iter()
                .enumerate()
                .filter(|(_, line)| is_it(line));
            match (found.next(), found.next()) {
                (Some((index, _)), None) => Ok(index),
                (None, _) => Err(format!("{} has no '{mark}'", self.path)),
                _ => Err(format!("{} has '{mark}' twice", self.path)),
            }
        };
        Ok(mark("ANCHOR")? + 1..mark("ANCHOR_END")?)
    }

    /// The names of all anchors.
    pub fn anchors(&self) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter(|line| line.is_mark())
            .filter_map(|line| {
                let (_, name) = line.text.split_once("ANCHOR: ")?;
                Some(name.trim_end_matches("*/").trim())
            })
    }

    /// The code size that the assembler was told last before a line: 16, 32 or 64.
    pub fn bits(&self, index: usize) -> Option<u32> {
        let bits = |line: &Line| line.text.trim().strip_prefix(".code")?.parse().ok();
        self.lines[..=index].iter().rev().find_map(bits)
    }
}

fn comments(path: &str) -> Comments {
    match path.rsplit('.').next() {
        Some("ld") => Comments::Block,
        Some("inc") if path.ends_with("layout.inc") => Comments::Block,
        Some("s" | "inc") => Comments::Hash,
        Some("rs") => Comments::Slashes,
        _ => Comments::None,
    }
}

/// Where the comment of a line begins. `inside` is whether a block comment is open.
fn comment(text: &str, comments: Comments, inside: &mut bool) -> Option<usize> {
    match comments {
        Comments::None => None,
        Comments::Hash => outside_quotes(text, "#"),
        Comments::Slashes => outside_quotes(text, "//"),
        Comments::Block => {
            let start = if *inside { Some(0) } else { text.find("/*") };
            if start.is_some() {
                *inside = !text.ends_with("*/");
            }
            start
        }
    }
}

/// Where this first is in the text, outside of quoted strings.
fn outside_quotes(text: &str, what: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if !quoted && text[at..].starts_with(what) {
            return Some(at);
        }
        // A character constant such as '#' is no comment either.
        if !quoted && character == '\'' && text[at + 1..].starts_with(what) {
            return None;
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_code() {
        let source = Source::of(
            "boot/x.s",
            "# ANCHOR: a\n        mov $'#', %al\n .asciz \"#\" # text\n\n# ANCHOR_END: a\n",
        );
        let code: Vec<bool> = source.lines.iter().map(|line| line.is_code).collect();
        assert_eq!(code, [false, true, true, false, false]);
        assert_eq!(source.anchor("a"), Ok(1..4));
        assert_eq!(source.anchors().collect::<Vec<_>>(), ["a"]);
        assert!(source.anchor("b").is_err());
    }

    #[test]
    fn block_comments_span_lines() {
        let source = Source::of(
            "boot/layout.inc",
            "A = 1; /* one */\n /* two\n three */\nB = 2;\n",
        );
        let code: Vec<bool> = source.lines.iter().map(|line| line.is_code).collect();
        assert_eq!(code, [true, false, false, true]);
    }
}
