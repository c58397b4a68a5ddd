//! What the grader says: a table for people, JSON for programs.

use crate::lab::{Check, Lab};
use serde_json::{Value, json};
use std::fmt;

/// The result for a lab.
#[derive(Debug)]
pub struct Report {
    /// The lab's name.
    pub lab: String,
    title: String,
    file: String,
    /// Why nothing was booted.
    pub refused: Option<String>,
    /// One for each check.
    pub rows: Vec<Row>,
}

/// The result of a check.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub check: String,
    /// What it is worth.
    pub worth: u32,
    /// What the loader did; none: it was not tried.
    pub seen: Option<String>,
    /// Why it could not be tried here.
    pub not_made: Option<&'static str>,
    /// What is wrong.
    pub complaint: Option<Complaint>,
}

/// What is wrong, and where to read about it.
#[derive(Clone, Debug)]
pub struct Complaint {
    /// What was seen, and where.
    pub seen: String,
    /// What was wanted.
    pub wanted: String,
    /// A page that explains it.
    pub page: String,
}

impl Row {
    /// A check that was not tried.
    pub fn new(check: &Check) -> Row {
        Row {
            check: check.name.clone(),
            worth: check.points,
            seen: None,
            not_made: None,
            complaint: None,
        }
    }

    /// Whether it was tried, and nothing is wrong.
    pub fn passed(&self) -> bool {
        self.seen.is_some() && self.complaint.is_none()
    }

    /// The points.
    pub fn points(&self) -> u32 {
        if self.passed() { self.worth } else { 0 }
    }
}

impl Report {
    /// A lab of which nothing was tried.
    pub fn new(lab: &Lab) -> Report {
        Report {
            lab: lab.name.clone(),
            title: lab.title.clone(),
            file: crate::student::shown(lab),
            refused: None,
            rows: lab.checks.iter().map(Row::new).collect(),
        }
    }

    /// The points.
    pub fn points(&self) -> u32 {
        self.rows.iter().map(Row::points).sum()
    }

    /// All points that can be had.
    pub fn of(&self) -> u32 {
        self.rows.iter().map(|row| row.worth).sum()
    }

    /// Whether all points were reached.
    pub fn is_full(&self) -> bool {
        self.points() == self.of()
    }

    /// The result for a program.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "check": row.check,
                "passed": row.passed(),
                "points": row.points(),
                "of": row.worth,
                "not_made": row.not_made,
                "seen": row.complaint.as_ref().map(|it| &it.seen).or(row.seen.as_ref()),
                "wanted": row.complaint.as_ref().map(|it| &it.wanted),
                "page": row.complaint.as_ref().map(|it| &it.page),
            })
        };
        json!({
            "lab": self.lab,
            "points": self.points(),
            "of": self.of(),
            "refused": self.refused,
            "checks": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }

    /// One line of the progress over all labs.
    pub fn line(&self) -> String {
        format!(
            "{:8} {:3} of {:3}  {}",
            self.lab,
            self.points(),
            self.of(),
            self.title
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{}: {} ({})\n", self.lab, self.title, self.file)?;
        let width = self.rows.iter().map(|row| row.check.chars().count()).max();
        let width = width.unwrap_or(0).max("check".len());
        writeln!(f, "  {:width$}  points  seen", "check")?;
        for row in &self.rows {
            let seen = match (&row.seen, row.passed()) {
                (None, _) => match row.not_made {
                    Some(why) => &format!("not made: {why}"),
                    None => "not tried",
                },
                (Some(seen), true) => seen,
                (Some(_), false) => "failed: see below",
            };
            let points = format!("{}/{}", row.points(), row.worth);
            writeln!(f, "  {:width$}  {points:>6}  {seen}", row.check)?;
        }
        if let Some(refused) = &self.refused {
            writeln!(f, "\n{refused}")?;
        }
        for row in &self.rows {
            if let Some(complaint) = &row.complaint {
                writeln!(f, "\n{}", row.check)?;
                writeln!(f, "  seen:   {}", complaint.seen)?;
                writeln!(f, "  wanted: {}", complaint.wanted)?;
                writeln!(f, "  read:   {}", complaint.page)?;
            }
        }
        let count = |is_it: fn(&&Row) -> bool| self.rows.iter().filter(is_it).count();
        let passed = count(|row| row.passed());
        let not_made = count(|row| row.not_made.is_some());
        write!(
            f,
            "\n{passed} passed, {} failed{}: {} of {} points",
            self.rows.len() - passed - not_made,
            match not_made {
                0 => String::new(),
                count => format!(", {count} not made"),
            },
            self.points(),
            self.of()
        )
    }
}
