//! Links, figures, terms and pictures of the book.

mod common;

use common::values;
use siso_book::chapters::{self, FOLDER, Page};
use siso_book::{glossary, picture, preprocess, top, tour};
use std::collections::BTreeSet;
use std::fs;

fn pages() -> Vec<Page> {
    chapters::all().expect("the pages can be read")
}

/// In the pages' source. `make book` checks the finished book again.
#[test]
fn no_link_is_dead() {
    let (pages, mut wrong) = (pages(), Vec::new());
    for page in pages.iter().filter(|page| page.is_chapter()) {
        for (line, link) in page.links() {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let place = format!("{}:{line}: {link}", page.file);
            if file.contains("://") {
                continue;
            }
            let target = if file.is_empty() { &page.file } else { file };
            let Some(target) = pages.iter().find(|page| page.file == target) else {
                wrong.push(format!("{place}: not a page of the book"));
                continue;
            };
            let term = anchor.starts_with("term-");
            if !anchor.is_empty() && !term && !target.anchors().iter().any(|name| name == anchor) {
                wrong.push(format!("{place}: no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_can_be_made() {
    let (values, terms) = (values(), glossary::terms().expect("there is a glossary"));
    for page in pages() {
        let made = preprocess::page(&page.file, &page.text, &values, &terms, "");
        made.unwrap_or_else(|error| panic!("{}: {error}", page.file));
    }
}

/// A chapter has nothing in bold but the terms that it defines, and the glossary has all
/// of them.
#[test]
fn the_glossary_is_complete() {
    let terms = glossary::terms().expect("there is a glossary");
    let known: BTreeSet<String> = terms.iter().map(|term| term.to_lowercase()).collect();
    let mut defined = BTreeSet::new();
    for page in pages().iter().filter(|page| page.is_chapter()) {
        for (line, text) in page.prose() {
            for term in glossary::defined(text) {
                let term = term.to_lowercase();
                assert!(
                    known.contains(&term),
                    "{}:{line}: {term} is not in the glossary",
                    page.file
                );
                assert!(
                    defined.insert(term.clone()),
                    "{}:{line}: {term} is defined twice",
                    page.file
                );
            }
        }
    }
    let unused: Vec<&String> = known.difference(&defined).collect();
    assert!(unused.is_empty(), "no chapter defines {unused:?}");
}

/// Every picture is shown, and says in words what it shows.
#[test]
fn every_picture_has_words() {
    let mut shown = BTreeSet::new();
    for page in pages() {
        for (_, line) in page.prose() {
            shown.extend(picture::parse(line).map(String::from));
        }
    }
    let files = fs::read_dir(top().join(picture::FOLDER)).expect("the folder can be read");
    let mut names: BTreeSet<String> = files
        .map(|file| file.expect("it has a name").path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()))
        .collect();
    names.insert(picture::LOW_MEMORY.into());
    assert_eq!(shown, names);
    for name in names {
        let html = picture::html(&name, &values()).expect("the picture can be made");
        for part in ["role=\"img\"", "aria-labelledby", "<title", "<desc"] {
            assert!(html.contains(part), "{name} has no {part}");
        }
    }
}

/// Each checkpoint of the tour has one place in the book.
#[test]
fn every_checkpoint_of_the_tour_has_a_place() {
    let mut linked: Vec<String> = Vec::new();
    for page in pages() {
        let lines = page.prose();
        let names = lines.iter().filter_map(|(_, line)| tour::parse(line));
        linked.extend(names.map(String::from));
    }
    let checkpoints = tour::checkpoints().expect("the tour's texts can be read");
    assert!(checkpoints.len() > 10, "{checkpoints:?}");
    let mut names: Vec<String> = checkpoints.into_iter().map(|(name, _)| name).collect();
    linked.sort();
    names.sort();
    assert_eq!(linked, names);
}

/// Each chapter ends with something to try.
#[test]
fn every_chapter_ends_with_a_try() {
    let mut chapters = 0;
    for page in pages().iter().filter(|page| page.is_chapter()) {
        chapters += 1;
        let last = page.anchors().pop();
        assert!(
            last.is_some_and(|name| name.starts_with("try")),
            "{} has no Try",
            page.file
        );
    }
    assert_eq!(chapters, 15);
    let files = fs::read_dir(top().join(FOLDER))
        .expect("the folder can be read")
        .count();
    assert!(files > chapters);
}

/// A number that the build knows stands in the text by its name, so that it changes with
/// the build.
#[test]
fn no_figure_is_typed_by_hand() {
    // Of the PC, or equal to a figure by chance.
    let fixed = [
        "0x400", "0x7c00", "0xa0000", "0xb8000", "0xc0000", "0xf0000", "0x100000", "1024", "2,048",
        "4,096", "31,744", "65,536",
    ];
    let list = values().list();
    let known: BTreeSet<&str> = list
        .lines()
        .flat_map(|line| line.split(" = ").skip(1))
        .collect();
    let mut wrong = Vec::new();
    for page in pages().iter().filter(|page| page.is_chapter()) {
        for (line, text) in page.prose() {
            let is_part = |c: char| c.is_alphanumeric() || c == ',';
            for word in text
                .split(|c: char| !is_part(c))
                .map(|word| word.trim_matches(','))
            {
                let long = if word.starts_with("0x") {
                    word.len() > 4
                } else {
                    word.len() > 3
                };
                let plain = word.replace(',', "");
                if long && known.contains(plain.as_str()) && !fixed.contains(&word) {
                    wrong.push(format!("{}:{line}: {word}", page.file));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
