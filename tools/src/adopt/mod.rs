//! `siso-image adopt`: makes `siso-image` the runner of a kernel that was written
//! for the `bootloader` crate 0.9 and `bootimage`.
//!
//! It says what it finds, shows what it would change, and asks. It changes nothing
//! that it does not show, and nothing at all when it is run again.

mod config;
mod target;

use crate::manifest::{Manifest, cargo_metadata};
use crate::output;
use config::Config;
use serde_json::Value;
use similar::TextDiff;
use std::io::{BufRead, IsTerminal, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What the user decides.
pub struct Choices {
    /// Mend what is known to be wrong with the target's JSON file.
    pub mend: bool,
    /// Do not ask.
    pub yes: bool,
}

/// A file's contents before and after.
struct Change {
    file: PathBuf,
    before: String,
    after: String,
}

/// Adopts the kernel in this folder. The error says that something is left to the
/// user, or was not done.
pub fn adopt(folder: &Path, choices: &Choices) -> Result<(), String> {
    let folder =
        fs::canonicalize(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let manifest = folder.join("Cargo.toml");
    let (metadata, package) = cargo_metadata(&manifest)?;
    describe(&metadata, &package);
    let mut left = Vec::new();
    left.extend(Manifest::read(&manifest).err());

    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let mut config = Config::find(&folder, Path::new(root))?;
    left.extend(config.set_runner().err());
    let mut changes = Vec::new();
    if let Some(file) = config.target() {
        left.extend(target::check(
            &file,
            &mut config,
            choices.mend,
            &mut changes,
        ));
    }
    changes.push(config.change());
    changes.retain(|change| change.before != change.after);
    if !in_path("siso-image") {
        left.push("siso-image is not in PATH, where Cargo looks for the runner".into());
    }

    if !left.is_empty() {
        println!("Left to you:\n  {}", left.join("\n  "));
    }
    for change in &changes {
        println!("\n{}", change.diff(&folder).trim_end());
    }
    if changes.is_empty() {
        println!("There is nothing to change.");
    } else if choices.yes || confirmed() {
        for Change { file, after, .. } in &changes {
            let about = |error| format!("{}: {error}", file.display());
            fs::create_dir_all(file.parent().unwrap_or(&folder)).map_err(about)?;
            output::write(file, after.as_bytes()).map_err(about)?;
        }
        println!("Changed.");
    } else {
        return Err("nothing was changed".into());
    }
    match left.is_empty() {
        true => Ok(()),
        false => Err("something is left to you, see above".into()),
    }
}

impl Change {
    fn diff(&self, folder: &Path) -> String {
        let name = self.file.strip_prefix(folder).unwrap_or(&self.file);
        let name = name.display().to_string();
        let diff = TextDiff::from_lines(&self.before, &self.after);
        diff.unified_diff().header(&name, &name).to_string()
    }
}

/// Prints what the manifest says about the loader.
fn describe(metadata: &Value, package: &Value) {
    let list = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items
            .filter_map(|item| item.as_str().map(String::from))
            .collect()
    };
    let or_none = |words: Vec<String>| match words.is_empty() {
        true => "none".into(),
        false => words.join(", "),
    };
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    let mut crates = dependencies
        .filter(|it| it["name"] == "bootloader")
        .peekable();
    if crates.peek().is_none() {
        println!("Cargo.toml: no dependency on the crate bootloader");
    }
    for it in crates {
        let wanted = it["req"].as_str().unwrap_or_default();
        let mut all = metadata["packages"].as_array().into_iter().flatten();
        let used = all.find(|package| package["name"] == "bootloader");
        let used = used.and_then(|package| package["version"].as_str());
        let used = used.unwrap_or("not resolved");
        let features = or_none(list(&it["features"]));
        println!("Cargo.toml: bootloader {wanted} ({used}), features: {features}");
    }
    for table in ["bootloader", "bootimage"] {
        let keys = package["metadata"][table].as_object();
        let keys = keys.into_iter().flatten().map(|(key, _)| key.clone());
        println!(
            "Cargo.toml: [package.metadata.{table}]: {}",
            or_none(keys.collect())
        );
    }
}

/// Asks whether to make the changes. The end of input means no.
fn confirmed() -> bool {
    print!("\nMake these changes? [y/N] ");
    let _ = stdout().flush(); // the question may be late
    let mut answer = String::new();
    let _ = stdin().lock().read_line(&mut answer); // no answer means no
    if !stdin().is_terminal() {
        println!();
    }
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

fn in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
