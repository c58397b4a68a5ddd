//! The grader tells a solution from what is not one, for every lab: the start fails, the
//! project's own routine has full points, and wrong solutions that students write lose
//! the points that they should, with a reason.
//!
//! A wrong solution is a file in the lab's folder `wrong`: the checks that it loses, words
//! of the reason for the first of them, and the change of the project's file. One for each
//! lab is tried, and only its first check; all of them with `SISO_FULL`.

mod common;

use common::{grade, kernel, try_wrong, wrong};
use siso_labs::bug;
use siso_labs::guest::{self, Outcome, Subject};
use siso_labs::lab::{Check, Kind, Lab, Wants};
use std::fs;
use std::path::PathBuf;

fn each(test: impl Fn(&Lab) -> Result<(), String>) {
    let labs = Lab::all().expect("the labs can be read");
    assert!(!labs.is_empty());
    let failed = labs.iter().filter_map(|lab| {
        let failed = test(lab).err()?;
        Some(format!("{}: {failed}", lab.name))
    });
    let failed: Vec<String> = failed.collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_start_has_no_points_and_says_why() {
    each(|lab| {
        let report = grade(lab, &lab.start()?, None);
        if report.points() != 0 {
            return Err(format!("the start has points: {report}"));
        }
        let says = report.to_string();
        match says.contains(&lab.start_says) {
            true => Ok(()),
            false => Err(format!("'{}' is not in: {says}", lab.start_says)),
        }
    });
}

#[test]
fn the_projects_own_routine_has_full_points() {
    each(|lab| {
        let report = grade(lab, &lab.solution()?, None);
        match report.is_full() && report.points() > 0 {
            true => Ok(()),
            false => Err(report.to_string()),
        }
    });
}

#[test]
fn wrong_solutions_lose_points_and_are_told_why() {
    let full = std::env::var_os("SISO_FULL").is_some();
    each(|lab| {
        if lab.kind == Kind::Bug {
            return wrong_answers(lab);
        }
        let all = wrong(lab);
        if all.len() < 3 {
            return Err(format!("{} wrong solutions, not three", all.len()));
        }
        let count = if full { all.len() } else { 1 };
        all[..count]
            .iter()
            .try_for_each(|file| try_wrong(lab, file, full))
    });
}

/// Each answer counts by itself.
fn wrong_answers(lab: &Lab) -> Result<(), String> {
    for row in grade(lab, "", None).rows {
        let (question, _) = row.check.split_once(':').ok_or("a check has no question")?;
        let line = |line: &str| match line.starts_with(&format!("{question} =")) {
            true => format!("{question} = nosuch\n"),
            false => format!("{line}\n"),
        };
        let text: String = lab.solution()?.lines().map(line).collect();
        let report = grade(lab, &text, None);
        let says = report.to_string().contains(&format!("{question} = nosuch"));
        if report.points() != report.of() - row.worth || !says {
            return Err(report.to_string());
        }
    }
    Ok(())
}

/// An image with a bug ends as its page says.
#[test]
fn the_bugs_are_real() {
    each(|lab| {
        let ends = match lab.name.as_str() {
            "bug1" => "reset, invalid opcode",
            "bug2" => "E8 wrong data on the disk",
            "bug3" => "reset, page fault",
            _ => return Ok(()),
        };
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        bug::make(lab, folder.path(), &kernel())?;
        let read = |name: &str| fs::read(folder.path().join(name)).expect("it was made");
        let subject = Subject {
            image: read(bug::FILES[0]),
            elf: read(bug::FILES[1]),
            routine: None,
            exits: Vec::new(),
        };
        let check = Check {
            wants: Wants::Boots,
            ..lab.checks[0].clone()
        };
        let seen = match guest::boot(&subject, lab, &check)?.outcome {
            Outcome::Error(line) => line,
            Outcome::Reset(Some(exception)) => format!("reset, {exception}"),
            other => format!("{other:?}"),
        };
        let (how, why) = ends.split_once(", ").unwrap_or((ends, ""));
        match seen.starts_with(how) && seen.contains(why) {
            true => Ok(()),
            false => Err(format!("it ends with {seen}")),
        }
    });
}

#[test]
fn a_start_has_nothing_of_the_solution() {
    each(|lab| {
        if lab.kind == Kind::Bug {
            return Ok(());
        }
        let (start, solution) = (lab.start()?, lab.solution()?);
        let code = |text: &str| text.lines().filter(|line| !line.contains("ANCHOR")).count();
        if code(&start) >= code(&solution) {
            return Err("nothing is taken out".into());
        }
        match start.contains("# Your code here") || start.contains("// Your code here") {
            true => Ok(()),
            false => Err("nothing says where to write".into()),
        }
    });
}

/// Every page that a lab names is there, and every lab has hints.
#[test]
fn the_pages_are_there() {
    each(|lab| {
        let read = |name: &str| fs::read_to_string(lab.folder().join(name));
        let page = read("README.md").map_err(|error| format!("README.md: {error}"))?;
        let hints = read("hints.md").map_err(|error| format!("hints.md: {error}"))?;
        if hints.matches("\n## ").count() < 2 {
            return Err("there are fewer than two hints".into());
        }
        let links = page
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let links: Vec<PathBuf> = links.map(|link| lab.folder().join(link)).collect();
        if links.len() < 2 {
            return Err("its page links to nothing".into());
        }
        let pages = lab
            .checks
            .iter()
            .filter_map(|check| check.page.split(',').next());
        let pages = pages.map(|page| siso_book::top().join(page));
        match links.into_iter().chain(pages).find(|file| !file.exists()) {
            None => Ok(()),
            Some(file) => Err(format!("{} does not exist", file.display())),
        }
    });
}
