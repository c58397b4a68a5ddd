//! The program `siso-image`.

mod cli;
mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::run(&cli::command().get_matches()) {
        Ok(status) => status.into(),
        Err(message) => {
            eprintln!("siso-image: {message}");
            ExitCode::FAILURE
        }
    }
}
