//! Quotes of the source, as HTML: the lines between the marks of an anchor with their
//! numbers, and what stands right around them, in grey.

use crate::source::{Line, Source};
use std::ops::Range;

/// A part of a source file that a chapter quotes: `{{#quote FILE:ANCHOR}}`, or
/// `{{#quote FILE}}` for a whole file, or `{{#quote FILE:>TEXT}}` for an item of Rust
/// that begins with this text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The file's path from the top folder on.
    pub file: String,
    /// The anchor; empty for a whole file.
    pub anchor: String,
}

impl Quote {
    /// The quote that a line of a chapter asks for.
    pub fn parse(line: &str) -> Option<Quote> {
        let inner = line.trim().strip_prefix("{{#quote ")?.strip_suffix("}}")?;
        let (file, anchor) = inner.split_once(':').unwrap_or((inner, ""));
        Some(Quote {
            file: file.into(),
            anchor: anchor.into(),
        })
    }

    /// The lines that it quotes, as indices.
    pub fn lines(&self, source: &Source) -> Result<Range<usize>, String> {
        if let Some(start) = self.anchor.strip_prefix('>') {
            return item(source, start);
        }
        match self.anchor.as_str() {
            "" => Ok(0..source.lines.len()),
            name => source.anchor(name),
        }
    }

    /// The quoted lines as they are, without marks.
    pub fn text(&self) -> Result<String, String> {
        let source = Source::read(&self.file)?;
        let lines = &source.lines[self.lines(&source)?];
        let code = lines.iter().filter(|line| !line.is_mark());
        Ok(code.map(|line| format!("{}\n", line.text)).collect())
    }

    /// The quote as HTML, without a blank line, which would end the HTML.
    pub fn html(&self) -> Result<String, String> {
        let source = Source::read(&self.file)?;
        let lines = self.lines(&source)?;
        let (before, after) = neighbours(&source, &lines);
        let mode = match source.bits(lines.end - 1) {
            Some(bits) if self.file.ends_with(".s") => format!("<span>{bits}-bit</span>"),
            _ => String::new(),
        };
        let name = match self.anchor.trim_start_matches('>') {
            "" => String::new(),
            name => format!("<b>{}</b>", escape(name)),
        };
        let mut html = format!(
            "<figure class=\"quote\"><figcaption><code>{}</code>{name}{mode}</figcaption>\
             <pre><code class=\"nohighlight\">",
            self.file
        );
        let mut show = |range: Range<usize>, class: &str| {
            for index in range {
                let line = &source.lines[index];
                if !line.is_mark() {
                    html += &format!(
                        "<span class=\"line{class}\" data-n=\"{}\">{}</span>\n",
                        index + 1,
                        marked_up(line)
                    );
                }
            }
        };
        show(before, " near");
        show(lines, "");
        show(after, " near");
        Ok(html.trim_end().to_string() + "</code></pre></figure>\n")
    }
}

/// The comment right above a quote, which is a routine's contract or says what comes;
/// or, if there is none, the code line right above. And the code line right below.
fn neighbours(source: &Source, lines: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let above = |index: usize| index.checked_sub(1).map(|index| &source.lines[index]);
    let mut start = lines.start;
    let comment = |line: &Line| !line.is_code && !line.is_blank();
    while above(start).is_some_and(|line| line.is_mark()) {
        start -= 1;
    }
    let marks = start;
    while above(start).is_some_and(comment) {
        start -= 1;
    }
    if start == marks && above(start).is_some_and(|line| line.is_code) {
        start -= 1;
    }
    let mut end = lines.end;
    while source.lines.get(end).is_some_and(Line::is_mark) {
        end += 1;
    }
    if source.lines.get(end).is_some_and(|line| line.is_code) {
        end += 1;
    }
    (start..lines.start, lines.end..end)
}

/// An item of a Rust file: from its doc comment to the line that closes it.
fn item(source: &Source, start: &str) -> Result<Range<usize>, String> {
    let is_start = |line: &Line| line.text.trim_start().starts_with(start);
    let first = source.lines.iter().position(is_start);
    let first = first.ok_or_else(|| format!("{} has no '{start}'", source.path))?;
    let indent = |line: &Line| line.text.len() - line.text.trim_start().len();
    let depth = indent(&source.lines[first]);
    let closes = |line: &Line| {
        let text = line.text.trim();
        indent(line) == depth && (text.starts_with('}') || text.ends_with(';'))
    };
    let length = source.lines[first..].iter().position(closes);
    let length = length.ok_or_else(|| format!("{}: '{start}' has no end", source.path))?;
    let mut above = first;
    while above > 0 && {
        let text = source.lines[above - 1].text.trim_start();
        text.starts_with("///") || text.starts_with("#[")
    } {
        above -= 1;
    }
    Ok(above..first + length + 1)
}

/// A line with its comment and its label marked.
fn marked_up(line: &Line) -> String {
    let (code, comment) = line.text.split_at(line.comment.unwrap_or(line.text.len()));
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let code = match code.split_once(':') {
        Some((label, rest)) if !label.is_empty() && label.chars().all(is_name) => {
            format!("<b>{label}:</b>{}", escape(rest))
        }
        _ => escape(code),
    };
    match comment {
        "" => code,
        _ => format!("{code}<i>{}</i>", escape(comment)),
    }
}

/// Text for HTML. The braces would otherwise look like marks of the book.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('{', "&#123;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_names_a_file_and_an_anchor() {
        let quote = Quote::parse("{{#quote boot/a20.s:test}}").expect("it is a quote");
        assert_eq!((&*quote.file, &*quote.anchor), ("boot/a20.s", "test"));
        assert_eq!(Quote::parse("see {{#quote boot/a20.s:test}}"), None);
        assert_eq!(Quote::parse("{{STAGE1_BASE}}"), None);
    }

    #[test]
    fn items_of_rust_end_where_their_indentation_ends() {
        let text = "use x;\n\n/// Text.\n#[a]\nfn f() {\n    g();\n}\n\nconst X: u8 = 1;\n";
        let source = Source::of("x.rs", text);
        assert_eq!(item(&source, "fn f"), Ok(2..7));
        assert_eq!(item(&source, "const X"), Ok(8..9));
        assert!(item(&source, "fn h").is_err());
    }

    #[test]
    fn the_comment_above_belongs_to_a_quote() {
        let text = "a:  ret\n\n# b - text\n# ANCHOR: b\nb:  nop\n# ANCHOR_END: b\n# ANCHOR: c\n    ret\n# ANCHOR_END: c\n";
        let source = Source::of("x.s", text);
        let b = source.anchor("b").expect("there is one");
        assert_eq!(neighbours(&source, &b), (2..4, 5..8));
        let c = source.anchor("c").expect("there is one");
        assert_eq!(neighbours(&source, &c), (4..7, 8..9));
    }
}
