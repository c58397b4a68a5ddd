//! Runs the tests of the loader and shows which of its instructions they leave out,
//! and which branches always go one way.
//!
//! Every QEMU that the tests start gets the plugin `coverage.c`, because they all
//! start `$QEMU`. [`points`] knows the instructions; [`report`] prints and writes
//! what was seen.

mod report;

use bench::coverage::{self, has_plugins, wrap};
use bench::points::{self, Sources};
use bench::{plugin, tools};
use clap::Arg;
use std::env;
use std::path::Path;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let matches = clap::Command::new("coverage")
        .about("Shows what the tests of the loader leave out")
        .arg(
            Arg::new("command")
                .help("The command that runs the tests; without it, shows the last run again")
                .num_args(0..)
                .trailing_var_arg(true),
        )
        .get_matches();
    let command: Vec<String> = matches
        .get_many("command")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    match run(&command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("coverage: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the tests and reports; false if they failed, or left out too much.
fn run(command: &[String]) -> Result<bool, String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("bench/ has a parent folder");
    let (boot, folder) = (top.join("boot"), top.join("target/coverage"));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut points = points::all(&boot, &folder)?;
    let seen = folder.join("seen");
    let mut passed = true;
    if let [program, arguments @ ..] = command {
        let mut tests = Command::new(program);
        tests.args(arguments);
        let measures = has_plugins()?;
        if measures {
            points::write(&points, &seen)?;
            let plugin = plugin::compile(&folder, "coverage", coverage::PLUGIN)?;
            let qemu = folder.join("qemu");
            wrap(&qemu, &plugin, &seen)?;
            tests.env("QEMU", qemu);
        }
        let status = tests.status();
        passed = status
            .map_err(|error| format!("{program}: {error}"))?
            .success();
        if !measures {
            eprintln!("coverage: nothing is measured, because this QEMU has no plugins");
            return Ok(passed);
        }
    }
    points::read(&mut points, &seen)?;
    let sources = Sources::read(&boot, &points)?;
    let docs = tools::read(&top.join("docs/testing.md"))?;
    let whole = report::print(&points, &sources, &String::from_utf8_lossy(&docs));
    report::write(&points, &sources, &folder)?;
    Ok(passed && whole)
}
