//! The chapters as they stand in `docs/book/src`: their quotes, blocks, links.

use crate::quote::Quote;
use crate::read;

/// The folder of the chapters.
pub const FOLDER: &str = "docs/book/src";

/// A page of the book.
pub struct Page {
    /// Its file name in [`FOLDER`].
    pub file: String,
    /// Its Markdown.
    pub text: String,
}

/// A fenced block of a page.
#[derive(Debug)]
pub struct Block {
    /// The words after the fence: the language, then what the tests do with it.
    pub info: Vec<String>,
    /// The lines between the fences.
    pub text: String,
    /// The number of its first line in the page.
    pub line: usize,
}

impl Block {
    /// The value of `name=value` after the fence.
    pub fn option(&self, name: &str) -> Option<&str> {
        let value = |word: &'_ String| word.strip_prefix(name)?.strip_prefix('=').map(str::len);
        let (word, length) = self
            .info
            .iter()
            .find_map(|word| Some((word, value(word)?)))?;
        Some(&word[word.len() - length..])
    }

    /// Whether a word is after the fence.
    pub fn has(&self, word: &str) -> bool {
        self.info.iter().any(|other| other == word)
    }
}

/// All pages, in the order of `SUMMARY.md`.
pub fn all() -> Result<Vec<Page>, String> {
    let summary = read(format!("{FOLDER}/SUMMARY.md"))?;
    let files = summary.lines().filter_map(|line| {
        let (_, link) = line.split_once("](")?;
        link.split(')').next().filter(|file| !file.is_empty())
    });
    files.map(Page::read).collect()
}

impl Page {
    /// Reads a page.
    pub fn read(file: &str) -> Result<Page, String> {
        Ok(Page {
            file: file.into(),
            text: read(format!("{FOLDER}/{file}"))?,
        })
    }

    /// Whether it is one of the numbered chapters.
    pub fn is_chapter(&self) -> bool {
        self.file.starts_with(|c: char| c.is_ascii_digit())
    }

    /// Its lines outside of fenced blocks, with their numbers.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        let mut fenced = false;
        let mut prose = Vec::new();
        for (n, line) in self.text.lines().enumerate() {
            if line.starts_with("```") {
                fenced = !fenced;
            } else if !fenced {
                prose.push((n + 1, line));
            }
        }
        prose
    }

    /// Its fenced blocks.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut open = false;
        for (n, line) in self.text.lines().enumerate() {
            if let Some(info) = line.strip_prefix("```") {
                open = !open;
                if open {
                    let words = info.split([' ', ',']).filter(|word| !word.is_empty());
                    blocks.push(Block {
                        info: words.map(String::from).collect(),
                        text: String::new(),
                        line: n + 2,
                    });
                }
            } else if open && let Some(block) = blocks.last_mut() {
                block.text += line;
                block.text.push('\n');
            }
        }
        blocks
    }

    /// Its quotes, with the numbers of their lines.
    pub fn quotes(&self) -> Vec<(usize, Quote)> {
        let quote = |(n, line): (usize, &str)| Some((n, Quote::parse(line)?));
        self.prose().into_iter().filter_map(quote).collect()
    }

    /// The targets of its links, with the numbers of their lines.
    pub fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (n, line) in self.prose() {
            for rest in line.split("](").skip(1) {
                links.extend(rest.split(')').next().map(|link| (n, link.to_string())));
            }
        }
        links
    }

    /// The names that links to its headings use, as mdBook makes them.
    pub fn anchors(&self) -> Vec<String> {
        let headings = self
            .prose()
            .into_iter()
            .filter(|(_, line)| line.starts_with('#'));
        headings
            .map(|(_, line)| slug(line.trim_start_matches('#').trim()))
            .collect()
    }
}

/// The name of a heading in links.
pub fn slug(heading: &str) -> String {
    heading
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_prose_are_told_apart() {
        let page = Page {
            file: "03-x.md".into(),
            text: "# A `b` c\n```sh run by=x\nls\n```\n[a](b.md#c), [d](e)\n{{#quote f:g}}\n"
                .into(),
        };
        let blocks = page.blocks();
        assert_eq!(blocks.len(), 1);
        assert!(blocks[0].has("run"));
        assert_eq!(blocks[0].option("by"), Some("x"));
        assert_eq!((&*blocks[0].text, blocks[0].line), ("ls\n", 3));
        assert_eq!(page.links(), [(5, "b.md#c".into()), (5, "e".into())]);
        assert_eq!(page.anchors(), ["a-b-c"]);
        assert_eq!(page.quotes().len(), 1);
        assert!(page.is_chapter());
    }
}
