//! What the tests share.

#![allow(dead_code)] // no test file uses everything

use siso_book::loader;
pub use siso_book::test_kernel as kernel;
use siso_labs::lab::{Kind, Lab};
use siso_labs::report::Report;
use std::fs;
use std::path::{Path, PathBuf};

/// Grades a text with this kernel.
pub fn grade(lab: &Lab, text: &str, only: Option<&str>) -> Report {
    siso_labs::grade::grade(lab, text, &kernel(), only).expect("it can be graded")
}

/// The wrong solutions of a lab.
pub fn wrong(lab: &Lab) -> Vec<PathBuf> {
    let folder = fs::read_dir(lab.folder().join("wrong"));
    let mut all: Vec<PathBuf> = folder
        .into_iter()
        .flatten()
        .map(|file| file.expect("it has a name").path())
        .collect();
    all.sort();
    all
}

/// Grades a wrong solution. With `full`, it must lose what it says, and nothing else.
pub fn try_wrong(lab: &Lab, file: &Path, full: bool) -> Result<(), String> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| about(&error))?;
    let field = |name: &str| -> Vec<&str> {
        let lines = text.lines().take_while(|line| !line.starts_with("@@ "));
        lines.filter_map(|line| line.strip_prefix(name)).collect()
    };
    let (loses, says) = (field("loses: "), field("says: "));
    let (Some(first), [says]) = (loses.first(), &says[..]) else {
        return Err(about(&"it must lose a check, and say why"));
    };
    let tree = tempfile::tempdir().map_err(|error| about(&error))?;
    loader::copy(tree.path()).map_err(|error| about(&error))?;
    if lab.kind != Kind::Loader {
        let file = tree.path().join(&lab.file);
        let folder = file.parent().expect("it is in the tree");
        let solution = lab.solution().map_err(|error| about(&error))?;
        fs::create_dir_all(folder).map_err(|error| about(&error))?;
        fs::write(&file, solution).map_err(|error| about(&error))?;
    }
    loader::change(&text, tree.path()).map_err(|error| about(&error))?;
    let changed = fs::read_to_string(tree.path().join(&lab.file)).map_err(|error| about(&error))?;
    let report = grade(lab, &changed, if full { None } else { Some(first) });
    let row = report.rows.iter().find(|row| row.check == *first);
    let row = row.ok_or_else(|| about(&format!("there is no check '{first}'")))?;
    let told = row
        .complaint
        .as_ref()
        .map(|complaint| complaint.seen.as_str());
    if !told.is_some_and(|seen| seen.contains(says)) {
        return Err(about(&format!("'{says}' is not what it is told: {report}")));
    }
    let lost = |row: &&siso_labs::report::Row| !row.passed();
    let lost: Vec<&str> = report
        .rows
        .iter()
        .filter(lost)
        .map(|row| &*row.check)
        .collect();
    match full && lost != loses {
        true => Err(about(&format!("it loses {lost:?}: {report}"))),
        false => Ok(()),
    }
}
