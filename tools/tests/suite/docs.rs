//! Checks what the docs say about the code.

use crate::common::top;
use std::collections::BTreeMap;
use std::fs;

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The loader's error messages, by their codes.
fn errors_in_code() -> BTreeMap<String, String> {
    let mut errors = BTreeMap::new();
    for file in fs::read_dir(top().join("boot")).expect("boot/ can be read") {
        let path = file.expect("it has a name").path();
        let text = fs::read_to_string(path).expect("sources are text");
        for message in text.lines().filter_map(|line| line.split(".asciz").nth(1)) {
            // Messages begin with `\r\n`; those of stage 1 have a second line.
            let message = message.trim().trim_matches('"');
            let message = message.trim_start_matches(r"\r\n");
            let message = message.split(r"\r\n").next().unwrap_or_default();
            if let Some((code, sentence)) = message.split_once(' ')
                && code.starts_with('E')
                && code[1..].parse::<u32>().is_ok()
            {
                let before = errors.insert(code.to_string(), sentence.to_string());
                assert!(
                    before.is_none_or(|before| before == sentence),
                    "{code} has two meanings"
                );
            }
        }
    }
    errors
}

#[test]
fn the_table_of_errors_is_complete() {
    let mut documented = BTreeMap::new();
    for row in read("docs/errors.md")
        .lines()
        .filter(|line| line.starts_with("| E"))
    {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(
            cells.len(),
            4,
            "code, sentence, meaning, what to try: {row}"
        );
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        documented.insert(cells[0].to_string(), cells[1].to_string());
    }
    let code = errors_in_code();
    assert!(code.len() > 10, "{code:?}");
    assert_eq!(documented, code);
}

/// A test expects each error.
#[test]
fn every_error_has_a_test() {
    let mut tests = String::new();
    for file in fs::read_dir(top().join("tools/tests/suite")).expect("the folder can be read") {
        tests += &fs::read_to_string(file.expect("it has a name").path()).unwrap_or_default();
    }
    for code in errors_in_code().keys() {
        assert!(
            tests.contains(&format!("\"{code} ")),
            "no test expects {code}"
        );
    }
}

/// The anchors that the docs refer to exist in the code.
#[test]
fn anchors_exist() {
    let mut seen = 0;
    for page in fs::read_dir(top().join("docs")).expect("docs/ can be read") {
        let path = page.expect("it has a name").path();
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        }; // an image
        for reference in text.split("(`").skip(1) {
            let Some((file, rest)) = reference.split_once("`, anchor `") else {
                continue;
            };
            let (anchor, _) = rest.split_once('`').expect("the anchor's name is closed");
            let code = read(file);
            for mark in ["ANCHOR", "ANCHOR_END"] {
                let mark = format!("{mark}: {anchor}\n");
                assert!(
                    code.contains(&mark),
                    "{}: {file} has no {mark}",
                    path.display()
                );
            }
            seen += 1;
        }
    }
    assert!(seen >= 2, "the docs refer to anchors");
}

/// The files that the docs link to exist.
#[test]
fn linked_files_exist() {
    for page in [
        "README.md",
        "docs/elsewhere.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/assembly.md",
        "docs/protocol.md",
        "docs/disk.md",
        "docs/errors.md",
        "docs/firmware.md",
        "docs/glossary.md",
        "docs/kernel.md",
        "docs/testing.md",
        "docs/speed.md",
        "CHANGELOG.md",
    ] {
        let folder = top().join(page);
        let folder = folder.parent().expect("the page is in a folder");
        let text = read(page);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = link.split('#').next().expect("there is a first part");
            // GitHub's pages are next to the files.
            let is_file = !file.contains("://") && !file.starts_with("../../actions/");
            if !file.is_empty() && is_file {
                assert!(
                    folder.join(file).exists(),
                    "{page} links to {link}, which does not exist"
                );
            }
        }
    }
}

/// The weekly run has all groups of fault tests, each once.
#[test]
fn the_parts_of_the_faults_are_complete() {
    let groups = |text: &str| {
        let words = text.split(|c: char| !c.is_alphanumeric() && !"_:".contains(c));
        let mut groups: Vec<String> = words
            .filter(|word| word.len() > 2 && word.ends_with("::"))
            .map(String::from)
            .collect();
        groups.sort();
        groups
    };
    let script = groups(&read("tools/faults"));
    assert!(script.len() > 5, "{script:?}");
    assert_eq!(groups(&read(".github/workflows/faults.yml")), script);
}
