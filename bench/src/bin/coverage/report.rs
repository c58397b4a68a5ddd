//! The report: a line a file, what is missing, a page to read, a file for editors.

use bench::points::{Choice, Point, Sources};
use bench::tools;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Numbers of a file, or of all: how many, and how many of them were seen.
#[derive(Clone, Copy, Default)]
struct Totals {
    instructions: [usize; 2],
    ways: [usize; 2],
}

impl Totals {
    fn of<'a>(points: impl Iterator<Item = &'a Point>) -> Self {
        let mut totals = Totals::default();
        for point in points {
            totals.instructions[0] += 1;
            totals.instructions[1] += usize::from(point.executed());
            if point.choice != Choice::None {
                totals.ways[0] += 2;
                totals.ways[1] += point.ways().into_iter().filter(|seen| *seen).count();
            }
        }
        totals
    }

    fn row(&self, name: &str) -> String {
        let part = |[all, seen]: [usize; 2]| {
            let percent = if all == 0 {
                100.0
            } else {
                seen as f64 * 100.0 / all as f64
            };
            // Rounded down: only what is whole is 100 %.
            format!(
                "{seen:5} of {all:4} {:6.1} %",
                (percent * 10.0).floor() / 10.0
            )
        };
        format!(
            "{name:16} {}   {}",
            part(self.instructions),
            part(self.ways)
        )
    }
}

/// The files in the order of their addresses, each with its instructions.
fn files(points: &[Point]) -> Vec<(&str, Vec<&Point>)> {
    let mut order: Vec<&str> = Vec::new();
    let mut files: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
    for point in points {
        if !order.contains(&point.file.as_str()) {
            order.push(&point.file);
        }
        files.entry(&point.file).or_default().push(point);
    }
    order
        .into_iter()
        .map(|file| (file, files.remove(file).unwrap_or_default()))
        .collect()
}

/// A row of the list of what no test reaches: file, code, what is missing, why.
#[derive(PartialEq, Eq)]
struct Excuse<'a> {
    file: &'a str,
    code: &'a str,
    missing: &'a str,
}

/// The rows of the table in docs/testing.md.
fn excuses(docs: &str) -> impl Iterator<Item = Excuse<'_>> {
    docs.lines().filter_map(|row| {
        let cells: Vec<&str> = row.strip_prefix("| `boot/")?.split(" | ").collect();
        let [file, code, missing, _why] = cells[..] else {
            return None;
        };
        Some(Excuse {
            file: file.trim_matches('`'),
            code: code.trim_matches('`'),
            missing,
        })
    })
}

/// Prints the totals, and what is missing without an excuse in `docs`; false if
/// something is, or if there is an excuse for nothing.
pub fn print(points: &[Point], sources: &Sources, docs: &str) -> bool {
    println!("\nboot/            instructions             branches and repeats, both ways");
    for (file, points) in files(points) {
        println!("{}", Totals::of(points.into_iter()).row(file));
    }
    println!("{}", Totals::of(points.iter()).row("all"));
    let mut unused: Vec<Excuse> = excuses(docs).collect();
    let mut whole = true;
    let mut excused = 0;
    for point in points {
        let Some(missing) = point.missing() else {
            continue;
        };
        let code = sources.code(point);
        let here = Excuse {
            file: &point.file,
            code: &code,
            missing,
        };
        if let Some(n) = unused.iter().position(|excuse| *excuse == here) {
            unused.remove(n);
            excused += 1;
        } else {
            whole = false;
            println!("boot/{}:{}: {missing}: {code}", point.file, point.line);
        }
    }
    if excused > 0 {
        println!("docs/testing.md says why {excused} more are not reached");
    }
    for Excuse {
        file,
        code,
        missing,
    } in &unused
    {
        println!("docs/testing.md: boot/{file}: {missing}: {code}: this is not missing");
    }
    whole && unused.is_empty()
}

/// Writes `index.html` and `lcov.info`.
pub fn write(points: &[Point], sources: &Sources, folder: &Path) -> Result<(), String> {
    let files = files(points);
    tools::write(
        &folder.join("index.html"),
        html(&files, points, sources).as_bytes(),
    )?;
    tools::write(&folder.join("lcov.info"), lcov(&files).as_bytes())?;
    println!("{}", folder.join("index.html").display());
    Ok(())
}

const STYLE: &str = "body { font: 14px/1.4 monospace; margin: 2em; }
pre { margin: 0; } td { padding: 0 1em 0 0; }
.yes { background: #e2f5e2; } .no { background: #fbd5d5; } .half { background: #fff0c2; }
i { color: #a00; float: right; font-style: normal; }";

fn html(files: &[(&str, Vec<&Point>)], points: &[Point], sources: &Sources) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>Coverage of the loader</title>\n\
         <style>{STYLE}</style>\n<h1>Coverage of the loader</h1>\n\
         <p>Green: it runs. Yellow: it always goes one way. Red: it never runs.</p>\n<pre>\n"
    );
    let mut add = |line: String| page += &(line + "\n");
    for (file, points) in files {
        let row = Totals::of(points.iter().copied()).row(file);
        add(row.replacen(file, &format!("<a href=\"#{file}\">{file}</a>"), 1));
    }
    add(Totals::of(points.iter()).row("all"));
    add("</pre>".into());
    for (file, points) in files {
        add(format!("<h2 id=\"{file}\">boot/{file}</h2>"));
        for (number, text) in (1..).zip(sources.lines(file)) {
            let here: Vec<&&Point> = points.iter().filter(|point| point.line == number).collect();
            let class = match here.iter().find(|point| point.missing().is_some()) {
                _ if here.is_empty() => "",
                None => "yes",
                Some(point) if point.executed() => "half",
                Some(_) => "no",
            };
            let missing = here
                .iter()
                .find_map(|point| point.missing())
                .unwrap_or_default();
            add(format!(
                "<pre class=\"{class}\" id=\"{file}:{number}\">{number:4} {}<i>{missing}</i></pre>",
                escaped(text)
            ));
        }
    }
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The format of lcov's `geninfo`: lines (DA) and branches (BRDA).
fn lcov(files: &[(&str, Vec<&Point>)]) -> String {
    let mut text = String::new();
    for (file, points) in files {
        let _ = writeln!(text, "SF:boot/{file}");
        let mut lines: BTreeMap<usize, bool> = BTreeMap::new();
        for point in points {
            *lines.entry(point.line).or_insert(true) &= point.executed();
            if point.choice != Choice::None {
                for (way, seen) in point.ways().into_iter().enumerate() {
                    let times = if point.executed() {
                        usize::from(seen).to_string()
                    } else {
                        "-".into()
                    };
                    let _ = writeln!(text, "BRDA:{},{},{way},{times}", point.line, point.address);
                }
            }
        }
        for (line, executed) in lines {
            let _ = writeln!(text, "DA:{line},{}", usize::from(executed));
        }
        let _ = writeln!(text, "end_of_record");
    }
    text
}
