//! The program `siso-image`.

mod cli;
mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::run(&cli::command().get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("siso-image: {message}");
            ExitCode::FAILURE
        }
    }
}
