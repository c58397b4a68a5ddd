//! `siso-book`: the commands of `make book` and `make explain`.

use siso_book::preprocess;
use siso_book::values::Values;
use siso_book::{explain, links};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

const USAGE: &str = "usage: siso-book explain IMAGE | values | links FOLDER
(mdBook calls it as a preprocessor, with the book on standard input)";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => preprocess_book(),
        ["supports", renderer] => return if renderer == "html" { 0 } else { 1 }.into(),
        ["explain", image] => explain_image(Path::new(image)),
        ["values"] => values().map(|values| print!("{}", values.list())),
        ["links", folder] => links::check(Path::new(folder)),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("siso-book: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The figures, with the kernel that `make kernel` has built.
fn values() -> Result<Values, String> {
    Values::new(&kernel())
}

fn kernel() -> PathBuf {
    siso_book::top().join("target/kernel/siso_os")
}

fn preprocess_book() -> Result<(), String> {
    let mut input = String::new();
    io::stdin()
        .read_to_string(&mut input)
        .map_err(|error| error.to_string())?;
    let image = siso_book::image_of(&kernel())?;
    let sector0 = explain::html(&explain::sector0(&image.bytes)?);
    println!("{}", preprocess::book(&input, &values()?, &sector0)?);
    Ok(())
}

fn explain_image(image: &Path) -> Result<(), String> {
    let about = |error: String| format!("{}: {error}", image.display());
    let bytes = fs::read(image).map_err(|error| about(error.to_string()))?;
    print!(
        "{}",
        explain::text(&explain::sector0(&bytes).map_err(about)?)
    );
    Ok(())
}
