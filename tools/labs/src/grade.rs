//! Grades what a student wrote: assembles it with the rest of the loader, boots it on
//! the machine of each check, and compares.

use crate::guest::{self, Outcome, Phase, Seen, Subject};
use crate::lab::{Check, Kind, Lab, Wants};
use crate::report::{Complaint, Report, Row};
use crate::{package, place, screen, sector, strict, student};
use siso_book::loader;
use siso_book::tools::path;
use std::collections::HashMap;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread;

/// Grades a text for a lab with a kernel. With `only`, tries the first check and the one
/// of this name.
pub fn grade(lab: &Lab, text: &str, kernel: &Path, only: Option<&str>) -> Result<Report, String> {
    let mut report = Report::new(lab);
    if lab.kind == Kind::Bug {
        answers(lab, text, &mut report);
        return Ok(report);
    }
    let built = match build(lab, text, kernel) {
        Ok(built) => built,
        Err(refused) => {
            report.refused = Some(refused);
            return Ok(report);
        }
    };
    // If it does not even get through the first machine, the others say nothing new.
    let Some((first, others)) = lab.checks.split_first() else {
        return Ok(report);
    };
    report.rows[0] = try_one(lab, first, &built, kernel)?;
    if !report.rows[0].passed() {
        return Ok(report);
    }
    let chosen = |check: &Check| only.is_none_or(|name| name == check.name);
    let rows: Vec<Mutex<Option<Result<Row, String>>>> =
        others.iter().map(|_| Mutex::default()).collect();
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads.min(others.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(check) = others.get(index) else {
                        break;
                    };
                    if chosen(check) {
                        let row = try_one(lab, check, &built, kernel);
                        *rows[index].lock().expect("no thread panics") = Some(row);
                    }
                }
            });
        }
    });
    for (index, row) in rows.into_iter().enumerate() {
        if let Some(row) = row.into_inner().expect("no thread panics") {
            report.rows[index + 1] = row?;
        }
    }
    Ok(report)
}

/// What a student's text became.
enum Built {
    /// A loader.
    Loader(Subject),
    /// The ELF file of a kernel.
    Kernel(Vec<u8>),
}

/// Builds a student's text; or says why not.
fn build(lab: &Lab, text: &str, kernel: &Path) -> Result<Built, String> {
    if let Some(refused) = student::refused(lab, text) {
        return Err(refused);
    }
    if lab.kind == Kind::Kernel {
        let built = package::build(lab, text).map(Built::Kernel);
        return built.map_err(|message| place::first_lines(&message));
    }
    let work = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = work.path().join(&lab.file);
    let write = || fs::write(&file, text).map_err(|error| error.to_string());
    let subject = match lab.kind {
        Kind::Sector => write().and_then(|()| sector::build(work.path(), &lab.file)),
        _ => loader::copy(work.path()).and_then(|boot| {
            write()?;
            Subject::new(loader::build(&boot, work.path())?, lab, text, kernel)
        }),
    };
    subject
        .map(Built::Loader)
        .map_err(|message| place::renamed(&message, lab, path(work.path())))
}

/// Compares the answers about a bug.
fn answers(lab: &Lab, text: &str, report: &mut Report) {
    for (row, check) in report.rows.iter_mut().zip(&lab.checks) {
        let Wants::Answer(name, values) = &check.wants else {
            continue;
        };
        let given = text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().to_string())
        });
        let Some(given) = given.filter(|given| !given.is_empty()) else {
            continue;
        };
        row.seen = Some(format!("{name} = {given}"));
        if !values.contains(&given) {
            row.complaint = Some(Complaint {
                seen: format!("{name} = {given}, in {}", student::shown(lab)),
                wanted: format!("another answer to: {}", check.name),
                page: check.page.clone(),
            });
        }
    }
}

fn try_one(lab: &Lab, check: &Check, built: &Built, kernel: &Path) -> Result<Row, String> {
    let subject = match built {
        Built::Loader(subject) => subject,
        Built::Kernel(kernel) => return screen::try_one(lab, check, kernel),
    };
    if check.bochs {
        let Some(seen) = strict::boot(subject, lab)? else {
            return Ok(Row {
                not_made: Some("Bochs is missing, or a part of it"),
                ..Row::new(check)
            });
        };
        // It shows how the boot ends, and no state to compare.
        return Ok(row(lab, check, &seen, &seen));
    }
    let seen = guest::boot(subject, lab, check)?;
    // A boot sector has nothing to compare with.
    let reference = match lab.kind {
        Kind::Sector => seen.clone(),
        _ => reference(lab, check, kernel)?,
    };
    Ok(row(lab, check, &seen, &reference))
}

fn row(lab: &Lab, check: &Check, seen: &Seen, reference: &Seen) -> Row {
    Row {
        seen: Some(outcome(&seen.outcome)),
        complaint: judge(lab, check, seen, reference),
        ..Row::new(check)
    }
}

/// What the project's own loader does on the machine of a check.
fn reference(lab: &Lab, check: &Check, kernel: &Path) -> Result<Seen, String> {
    type Known = HashMap<(String, String), Seen>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().expect("no thread panics");
    let name = (lab.name.clone(), check.name.clone());
    if let Some(seen) = known().get(&name) {
        return Ok(seen.clone());
    }
    let seen = guest::boot(&Subject::reference(lab, kernel)?, lab, check)?;
    if !is_wanted(&seen.outcome, &check.wants) {
        return Err(format!(
            "'{}' is wrong: there, the project's own loader {}",
            check.name,
            outcome(&seen.outcome)
        ));
    }
    known().insert(name, seen.clone());
    Ok(seen)
}

fn is_wanted(outcome: &Outcome, wants: &Wants) -> bool {
    match (outcome, wants) {
        (Outcome::Boots, Wants::Boots) => true,
        (Outcome::Shows, Wants::Shows(_)) => true,
        (Outcome::Error(line), Wants::Error(start)) => line.starts_with(start),
        _ => false,
    }
}

/// What is wrong with a boot, if anything is. The first thing that went wrong counts:
/// registers and what the routine left come before how it all ended.
fn judge(lab: &Lab, check: &Check, seen: &Seen, reference: &Seen) -> Option<Complaint> {
    let complain = |what: String, wanted: String| {
        Some(Complaint {
            seen: what,
            wanted,
            page: check.page.clone(),
        })
    };
    let after = format!("when `{}` had returned", lab.routine);
    if let Some((name, old, new)) = seen.changed.first() {
        return complain(
            format!("{name} = {new:#x}, {after}{}", ending(seen)),
            format!("{name} = {old:#x}, as it was: the contract does not let it change"),
        );
    }
    if reference.phase == Phase::After && seen.phase == Phase::After {
        for (own, theirs) in reference.state.iter().zip(&seen.state) {
            let longest = own.len().max(theirs.len());
            for n in 0..longest {
                let nothing = || "nothing more".to_string();
                let wanted = own.get(n).cloned().unwrap_or_else(nothing);
                let there = theirs.get(n).cloned().unwrap_or_else(nothing);
                if wanted != there {
                    return complain(format!("{there}, {after}{}", ending(seen)), wanted);
                }
            }
        }
    }
    if is_wanted(&seen.outcome, &check.wants) {
        return None;
    }
    let stage = match seen.phase {
        _ if lab.routine.is_empty() => "in your sector".into(),
        Phase::Unknown => "on Bochs".into(),
        Phase::Before => format!("before `{}` was called", lab.routine),
        Phase::Inside => format!("in `{}`", lab.routine),
        Phase::After => after,
    };
    let place = match (&seen.place, &seen.outcome) {
        // An error is shown by a routine that many call.
        (Some(place), Outcome::Hangs | Outcome::Reset(_) | Outcome::Strays { .. }) => {
            format!(", at {place}")
        }
        _ => String::new(),
    };
    let wanted = match (&seen.outcome, &check.wants) {
        (Outcome::Strays { back, .. }, _) => {
            format!("it returns to {back}, with the stack as it was when it was called")
        }
        (_, wants) => goal(wants),
    };
    let who = match &seen.outcome {
        _ if lab.routine.is_empty() => "it".to_string(),
        Outcome::Strays { .. } => format!("`{}`", lab.routine),
        _ => "the loader".into(),
    };
    let stage = match seen.outcome {
        Outcome::Boots | Outcome::Strays { .. } => String::new(),
        _ => format!(", {stage}"),
    };
    complain(
        format!("{who} {}{stage}{place}", outcome(&seen.outcome)),
        wanted,
    )
}

/// How a boot should end.
fn goal(wants: &Wants) -> String {
    match wants {
        Wants::Boots => "the kernel starts".to_string(),
        Wants::Error(line) => format!("the loader stops with {line}"),
        Wants::Shows(text) => format!("the screen shows {text}"),
        Wants::Answer(name, _) => format!("an answer to {name}"),
        Wants::Screen => "the screen is right".into(),
    }
}

/// How a boot went on, if it did not boot.
fn ending(seen: &Seen) -> String {
    match &seen.outcome {
        Outcome::Boots | Outcome::Shows => String::new(),
        other => format!("; later, it {}", outcome(other)),
    }
}

/// What the loader does.
fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Boots => "starts the kernel".into(),
        Outcome::Shows => "shows the text".into(),
        Outcome::Error(line) => format!("stops with {line}"),
        Outcome::Reset(None) => "resets the machine".into(),
        Outcome::Reset(Some(exception)) => format!("resets the machine: {exception}"),
        Outcome::Hangs => "hangs".into(),
        Outcome::Floods => "prints without end".into(),
        Outcome::Strays { to, left, .. } => {
            let stack = match left {
                0 => String::new(),
                1.. => format!(", with {left} bytes too many left on the stack"),
                _ => format!(", with {} bytes too few on the stack", -left),
            };
            format!("returns to {to:#x}, where nothing called it{stack}")
        }
    }
}
