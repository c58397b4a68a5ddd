//! The preprocessor that mdBook calls: it gets the book as JSON and returns it with all
//! marks replaced.

use crate::chapters::FOLDER;
use crate::quote::Quote;
use crate::values::Values;
use crate::{explain, glossary, picture, top, tour};
use serde_json::Value;
use std::collections::BTreeSet;

/// Replaces the marks in a book: mdBook sends a context and the book in one array.
pub fn book(input: &str, values: &Values, sector0: &str) -> Result<String, String> {
    let input: Value = serde_json::from_str(input).map_err(|error| error.to_string())?;
    let mut book = input.get(1).cloned().ok_or("mdBook sent no book")?;
    let terms = glossary::terms()?;
    let mut replace = |file: &str, text: &str| page(file, text, values, &terms, sector0);
    walk(&mut book, &mut replace)?;
    Ok(book.to_string())
}

/// Calls a function with the path and the content of every chapter.
fn walk(
    value: &mut Value,
    replace: &mut impl FnMut(&str, &str) -> Result<String, String>,
) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| walk(item, replace)),
        Value::Object(fields) => {
            if let Some(path) = fields.get("path").and_then(Value::as_str).map(String::from)
                && let Some(Value::String(content)) = fields.get_mut("content")
            {
                *content = replace(&path, content).map_err(|error| format!("{path}: {error}"))?;
            }
            fields
                .values_mut()
                .try_for_each(|value| walk(value, replace))
        }
        _ => Ok(()),
    }
}

/// A page with all marks replaced.
pub fn page(
    file: &str,
    text: &str,
    values: &Values,
    terms: &[String],
    sector0: &str,
) -> Result<String, String> {
    if is_reference(file) {
        let text = match file {
            "glossary.md" => glossary::with_anchors(text),
            _ => text.to_string(),
        };
        let lines = text.lines();
        return Ok(lines
            .map(|line| without_outside_links(line) + "\n")
            .collect());
    }
    let chapter = file.starts_with(|c: char| c.is_ascii_digit());
    let mut replaced = String::new();
    let mut fenced = false;
    for line in text.lines() {
        if let Some(info) = line.strip_prefix("```") {
            fenced = !fenced;
            replaced += &format!("```{}\n", if fenced { class(info) } else { "" });
            continue;
        }
        if fenced {
            replaced += &values.fill(line)?;
            replaced.push('\n');
            continue;
        }
        if let Some(quote) = Quote::parse(line) {
            replaced += &quote.html()?;
        } else if let Some(name) = picture::parse(line) {
            replaced += &picture::html(name, values)?;
        } else if let Some(name) = tour::parse(line) {
            replaced += &tour::html(name)?;
        } else if line.trim() == explain::MARK {
            replaced += sector0;
        } else {
            let line = values.fill(line)?;
            let linked = if chapter {
                glossary::with_links(&line, terms)
            } else {
                line
            };
            replaced += &linked;
            replaced.push('\n');
        }
    }
    Ok(replaced)
}

/// A chapter as Markdown without marks, for those who have no mdBook. Files of `hidden`
/// are not quoted; of a picture, only the description stays.
pub fn plain(text: &str, values: &Values, hidden: &BTreeSet<&str>) -> Result<String, String> {
    let mut replaced = String::new();
    for line in text.lines() {
        if let Some(quote) = Quote::parse(line) {
            if hidden.contains(quote.file.as_str()) {
                replaced += &format!("*(Here the book quotes `{}`.)*\n", quote.file);
            } else {
                replaced += &format!("```text\n{}```\n", quote.text()?);
            }
        } else if let Some(name) = picture::parse(line) {
            replaced += &format!("*(Picture: {})*\n", picture::description(name, values)?);
        } else if tour::parse(line).is_none() && line.trim() != explain::MARK {
            replaced += &values.fill(line)?;
            replaced.push('\n');
        }
    }
    Ok(replaced)
}

/// What mdBook is told about a fenced block: its language, and a class for its style. The
/// other words are for the tests.
fn class(info: &str) -> &str {
    let mut words = info.split(' ');
    match (words.next(), words.next()) {
        (Some("gdb"), _) => "text,gdb",
        (Some("text"), Some("output")) => "text,output",
        (language, _) => language.unwrap_or_default(),
    }
}

/// Whether a page is one of those in `docs/`, to which the book has links only. They
/// have no marks.
fn is_reference(file: &str) -> bool {
    let metadata = top().join(FOLDER).join(file).symlink_metadata();
    metadata.is_ok_and(|metadata| metadata.is_symlink())
}

/// The reference pages link to files of the project, which are not in the book: there,
/// only the text of such a link stays.
fn without_outside_links(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(end) = rest.find("](") {
        let Some(length) = rest[end..].find(')') else {
            break;
        };
        let target = &rest[end + 2..end + length];
        let file = target.split('#').next().unwrap_or_default();
        let start = rest[..end].rfind('[');
        let inside =
            file.is_empty() || file.contains("://") || top().join(FOLDER).join(file).exists();
        match start {
            Some(start) if !inside => {
                kept += &rest[..start];
                kept += &rest[start + 1..end];
            }
            _ => kept += &rest[..end + length + 1],
        }
        rest = &rest[end + length + 1..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_language_only() {
        assert_eq!(class("sh by=x::y"), "sh");
        assert_eq!(class("gdb run"), "text,gdb");
        assert_eq!(class("text output"), "text,output");
        assert_eq!(class(""), "");
    }

    #[test]
    fn links_out_of_the_book_become_text() {
        assert_eq!(
            without_outside_links("a [b](../../x.rs), [c](https://x), [d](#e), [f](SUMMARY.md)."),
            "a b, [c](https://x), [d](#e), [f](SUMMARY.md)."
        );
    }
}
