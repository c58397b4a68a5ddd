//! `siso-labs`: the commands of `make lab`, `make hint`, `make grade` and `make watch`.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::Value;
use siso_book::top;
use siso_labs::grade::grade;
use siso_labs::lab::Lab;
use siso_labs::report::Report;
use siso_labs::{handout, student};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

fn command() -> Command {
    let lab = || Arg::new("lab").value_name("LAB").help("The name of a lab");
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue);
    let kernel = Arg::new("kernel")
        .long("kernel")
        .value_name("ELF")
        .value_parser(value_parser!(PathBuf))
        .help("The kernel to boot [default: this project's]");
    let folder = Arg::new("folder")
        .long("folder")
        .value_name("FOLDER")
        .global(true)
        .value_parser(value_parser!(PathBuf))
        .help("Where the labs are written [default: labs, beside docs]");
    Command::new("siso-labs")
        .arg(folder)
        .about("Labs: a routine of the loader to write, and its grader")
        .subcommand_required(true)
        .subcommand(
            Command::new("lab")
                .about("Begin a lab, or list all of them")
                .arg(lab())
                .arg(kernel.clone()),
        )
        .subcommand(
            Command::new("hint")
                .about("Show the next hint")
                .arg(lab().required(true)),
        )
        .subcommand(
            Command::new("grade")
                .about("Grade a lab, or all of them")
                .arg(lab())
                .arg(json.help("Print the result for a program"))
                .arg(kernel.clone()),
        )
        .subcommand(
            Command::new("handout")
                .about("Make a student's copy, without the solutions")
                .arg(
                    Arg::new("to")
                        .value_name("FOLDER")
                        .required(true)
                        .value_parser(value_parser!(PathBuf))
                        .help("A folder that does not exist yet"),
                )
                .arg(kernel.clone()),
        )
        .subcommand(
            Command::new("watch")
                .about("Grade a lab after each save")
                .arg(lab().required(true))
                .arg(kernel),
        )
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    let (name, args) = matches.subcommand().expect("a command is required");
    let lab = args
        .try_get_one::<String>("lab")
        .ok()
        .flatten()
        .filter(|name| !name.is_empty())
        .map(|name| Lab::named(name))
        .transpose();
    let done = lab.and_then(|lab| match (name, lab) {
        ("lab", Some(lab)) => {
            student::make(&labs(args), &lab, &kernel(args)).map(|said| (said, true))
        }
        ("lab", None) => list().map(|said| (said, true)),
        ("hint", Some(lab)) => student::hint(&labs(args), &lab).map(|said| (said, true)),
        ("grade", Some(lab)) => one(&lab, args),
        ("grade", None) => all(args),
        ("handout", _) => {
            let to = args.get_one::<PathBuf>("to").expect("it is required");
            handout::make(to, &kernel(args)).map(|said| (said, true))
        }
        ("watch", Some(lab)) => watch(&lab, args),
        _ => Err("which lab? as in LAB=a20".into()),
    });
    match done {
        Ok((said, good)) => {
            println!("{said}");
            if good { 0 } else { 1 }.into()
        }
        Err(message) => {
            eprintln!("siso-labs: {message}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<String, String> {
    let mut text = String::new();
    for lab in Lab::all()? {
        text += &format!(
            "  {:8} {:3} points  {}\n",
            lab.name,
            lab.points(),
            lab.title
        );
    }
    Ok(text + "Begin one with make lab LAB=name.")
}

fn labs(args: &ArgMatches) -> PathBuf {
    let given = args.get_one::<PathBuf>("folder").cloned();
    given.unwrap_or_else(|| top().join("labs"))
}

fn kernel(args: &ArgMatches) -> PathBuf {
    let given = args.get_one::<PathBuf>("kernel").cloned();
    given.unwrap_or_else(|| top().join("target/kernel/siso_os"))
}

fn report(lab: &Lab, args: &ArgMatches) -> Result<Report, String> {
    grade(lab, &student::read(&labs(args), lab)?, &kernel(args), None)
}

fn one(lab: &Lab, args: &ArgMatches) -> Result<(String, bool), String> {
    let report = report(lab, args)?;
    let text = match args.get_flag("json") {
        true => report.json().to_string(),
        false => report.to_string(),
    };
    Ok((text, report.is_full()))
}

/// The progress over all labs. Those that were not begun have no points.
fn all(args: &ArgMatches) -> Result<(String, bool), String> {
    let mut reports = Vec::new();
    for lab in Lab::all()? {
        reports.push(match student::folder(&labs(args), &lab).exists() {
            true => report(&lab, args)?,
            false => Report::new(&lab),
        });
    }
    let full = reports.iter().filter(|report| report.is_full()).count();
    let text = match args.get_flag("json") {
        true => Value::from_iter(reports.iter().map(Report::json)).to_string(),
        false => {
            let lines: Vec<String> = reports.iter().map(Report::line).collect();
            let points: u32 = reports.iter().map(Report::points).sum();
            let of: u32 = reports.iter().map(Report::of).sum();
            format!(
                "{}\n\n{full} passed, {} failed: {points} of {of} points",
                lines.join("\n"),
                reports.len() - full
            )
        }
    };
    Ok((text, full == reports.len()))
}

/// Grades whenever the file is saved.
fn watch(lab: &Lab, args: &ArgMatches) -> Result<(String, bool), String> {
    let file = student::folder(&labs(args), lab).join(lab.file_name());
    let saved = || fs::metadata(&file).and_then(|about| about.modified()).ok();
    let mut last: Option<SystemTime> = None;
    loop {
        let now = saved();
        if now != last {
            match report(lab, args) {
                Ok(report) => println!("{report}\n\nWaiting for {}.", student::shown(lab)),
                Err(message) => println!("{message}"),
            }
            last = now;
        }
        sleep(Duration::from_millis(300));
    }
}
