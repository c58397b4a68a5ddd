//! How QEMU is started: the program, what the user gives, and what is added.

use super::arguments::{self, Kind};
use super::process::{escaped, program};
use std::path::Path;
use std::process::Command;

/// The place of the disk image in a user's arguments.
pub const IMAGE: &str = "{}";

/// A program and its arguments. What the user gives comes last, and nothing of the
/// same kind is added.
#[derive(Clone, Debug)]
pub struct Launch {
    program: String,
    added: Vec<String>,
    given: Vec<String>,
}

impl Launch {
    /// Boots a disk image with a user's arguments. `command` is the manifest's
    /// `run-command`: the program, then the first arguments. Where an argument
    /// contains `{}`, that becomes the image; if none does, it is the first drive.
    pub fn new(image: &Path, command: &[String], arguments: &[String]) -> Launch {
        let (program, first) = match command.split_first() {
            Some((program, first)) => (program.clone(), first),
            None => (program(), &[][..]),
        };
        let given = [first, arguments].concat();
        let names_image = given.iter().any(|argument| argument.contains(IMAGE));
        let mut launch = Launch {
            program,
            added: Vec::new(),
            given,
        };
        if !names_image {
            launch.added = disk(image).into();
        }
        let image = match launch.is_qemu() {
            true => escaped(image),
            false => image.display().to_string(),
        };
        for argument in &mut launch.given {
            *argument = argument.replace(IMAGE, &image);
        }
        launch
    }

    /// Whether the program is QEMU, which takes the arguments that this program
    /// adds. A user may name another one, such as a script.
    pub fn is_qemu(&self) -> bool {
        let name = Path::new(&self.program).file_name().unwrap_or_default();
        self.program == program() || name.to_string_lossy().starts_with("qemu")
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What the user gives.
    pub fn given(&self) -> &[String] {
        &self.given
    }

    /// Whether there are arguments of this kind.
    pub fn has(&self, kind: Kind) -> bool {
        arguments::has(&self.given, kind) || arguments::has(&self.added, kind)
    }

    /// Adds arguments, unless there are some of this kind, or the program is not
    /// QEMU.
    pub fn add(&mut self, kind: Kind, arguments: &[&str]) {
        if self.is_qemu() && !self.has(kind) {
            self.added.extend(arguments.iter().map(|&word| word.into()));
        }
    }

    /// The command; run it with [`Scratch::spawn`](super::Scratch::spawn).
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.added).args(&self.given);
        command
    }
}

/// QEMU's arguments for a disk image on its default drive.
pub fn disk(image: &Path) -> [String; 2] {
    [
        "-drive".into(),
        format!("format=raw,file={}", escaped(image)),
    ]
}
