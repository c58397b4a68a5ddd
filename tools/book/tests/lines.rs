//! Every line of code stands in the book exactly once.
//!
//! A line of code is one that is neither blank nor a comment only. The files are all of
//! `boot/`, the kernel's `main.rs`, its linker script and the target's JSON.

use siso_book::chapters;
use siso_book::source::{Source, quoted_files};
use std::collections::BTreeMap;

/// How many lines a quote has at most.
const LINES_MAX: usize = 30;

/// Where each quote is, by file: the page and the lines that it quotes.
fn quotes() -> BTreeMap<String, Vec<(String, std::ops::Range<usize>)>> {
    let mut quotes: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for page in chapters::all().expect("the pages can be read") {
        for (line, quote) in page.quotes() {
            let place = format!("{}:{line}", page.file);
            let source = Source::read(&quote.file).unwrap_or_else(|e| panic!("{place}: {e}"));
            let lines = quote
                .lines(&source)
                .unwrap_or_else(|e| panic!("{place}: {e}"));
            quotes.entry(quote.file).or_default().push((place, lines));
        }
    }
    quotes
}

#[test]
fn every_line_of_code_is_quoted_once() {
    let quotes = quotes();
    let mut wrong = Vec::new();
    for file in quoted_files() {
        let source = Source::read(&file).expect("the file can be read");
        for (index, _) in source
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.is_code)
        {
            let in_file = quotes.get(&file).map(Vec::as_slice).unwrap_or_default();
            let places: Vec<&str> = in_file
                .iter()
                .filter(|(_, lines)| lines.contains(&index))
                .map(|(place, _)| place.as_str())
                .collect();
            if places.len() != 1 {
                let text = source.lines[index].text.trim();
                wrong.push(format!("{file}:{}: {places:?}: {text}", index + 1));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} lines are not quoted exactly once:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_quote_is_long() {
    for (file, quotes) in quotes() {
        let source = Source::read(&file).expect("the file can be read");
        for (place, lines) in quotes {
            let shown = source.lines[lines]
                .iter()
                .filter(|line| !line.is_mark())
                .count();
            assert!(shown <= LINES_MAX, "{place} quotes {shown} lines of {file}");
        }
    }
}

/// An anchor is quoted, or a reference page names it, or it holds a whole routine that
/// is quoted in parts.
#[test]
fn every_anchor_is_used() {
    let mut text = String::new();
    for page in chapters::all().expect("the pages can be read") {
        text += &page.text;
    }
    for file in quoted_files() {
        let source = Source::read(&file).expect("the file can be read");
        for anchor in source.anchors() {
            let quoted = text.contains(&format!("{{{{#quote {file}:{anchor}}}}}"));
            let named = text.contains(&format!("`{file}`, anchor `{anchor}`"));
            let lines = source.anchor(anchor).expect("it has two marks");
            let whole = source.lines[lines].iter().any(|line| line.is_mark());
            assert!(
                quoted || named || whole,
                "nobody uses the anchor {anchor} of {file}"
            );
        }
    }
}
