//! Cargo's settings for a kernel: `.cargo/config.toml`.

use super::Change;
use std::fs;
use std::path::{Path, PathBuf};
use toml_edit::{Array, DocumentMut, Item, Table, Value, value};

/// The condition under which Cargo uses a runner that is added here.
const NO_SYSTEM: &str = "cfg(target_os = \"none\")";

/// A file of settings; it need not exist.
pub struct Config {
    file: PathBuf,
    before: String,
    document: DocumentMut,
}

impl Config {
    /// The settings that Cargo finds first for a kernel in this folder, up to the
    /// root of its workspace.
    pub fn find(folder: &Path, root: &Path) -> Result<Config, String> {
        let folders = folder.ancestors().take_while(|it| it.starts_with(root));
        let mut files =
            folders.flat_map(|it| [it.join(".cargo/config"), it.join(".cargo/config.toml")]);
        let file = files.find(|file| file.is_file());
        let file = file.unwrap_or_else(|| folder.join(".cargo/config.toml"));
        let about = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let before = match file.exists() {
            true => fs::read_to_string(&file).map_err(|error| about(&error))?,
            false => String::new(),
        };
        let document = before.parse().map_err(|error| about(&error))?;
        Ok(Config {
            file,
            before,
            document,
        })
    }

    /// Makes `siso-image run` the runner instead of `bootimage runner`, whose
    /// options stay. The error says why another one stays.
    pub fn set_runner(&mut self) -> Result<(), String> {
        let file = self.file.display().to_string();
        let mut found = false;
        let targets = self
            .document
            .get_mut("target")
            .and_then(Item::as_table_like_mut);
        for (name, settings) in targets.into_iter().flat_map(|targets| targets.iter_mut()) {
            let Some(runner) = settings.get_mut("runner").and_then(Item::as_value_mut) else {
                continue;
            };
            let words = words(runner);
            println!("{file}: target {name}: runner: {}", words.join(" "));
            let program = words.first().map(Path::new).and_then(Path::file_stem);
            match program.and_then(|name| name.to_str()) {
                Some("bootimage") if words.get(1).is_some_and(|word| word == "runner") => {
                    replace(runner, &words[2..]);
                }
                Some("siso-image") => {}
                _ => return Err(format!("{file}: the runner is not bootimage's; it stays")),
            }
            found = true;
        }
        if !found {
            println!("{file}: no runner");
            let settings = self.table("target")?.entry(NO_SYSTEM);
            settings.or_insert(Item::Table(Table::new()));
            self.document["target"][NO_SYSTEM]["runner"] = value("siso-image run");
        }
        Ok(())
    }

    /// The file of the target, if it is described by a file.
    pub fn target(&self) -> Option<PathBuf> {
        let target = self.document.get("build")?.get("target")?;
        let name = match target.as_array() {
            Some(several) => several.get(0)?.as_str()?,
            None => target.as_str()?,
        };
        // Relative to the folder that has `.cargo`.
        let folder = self.file.parent()?.parent()?;
        name.ends_with(".json").then(|| folder.join(name))
    }

    /// Whether an unstable setting is there.
    pub fn has_unstable(&self, key: &str) -> bool {
        let table = self.document.get("unstable");
        table.and_then(|table| table.get(key)).is_some()
    }

    /// Switches an unstable setting on.
    pub fn set_unstable(&mut self, key: &str) -> Result<(), String> {
        self.table("unstable")?.insert(key, value(true));
        Ok(())
    }

    /// A table at the top, which is added if it is not there.
    fn table(&mut self, name: &str) -> Result<&mut Table, String> {
        let mut table = Table::new();
        table.set_implicit(name == "target");
        let item = self.document.entry(name).or_insert(Item::Table(table));
        let file = &self.file;
        item.as_table_mut()
            .ok_or_else(|| format!("{}: [{name}] is not written as a table", file.display()))
    }

    /// What has changed.
    pub fn change(&self) -> Change {
        Change {
            file: self.file.clone(),
            before: self.before.clone(),
            after: self.document.to_string(),
        }
    }
}

/// A command as Cargo reads it: a list of words, or words in one string.
fn words(command: &Value) -> Vec<String> {
    match command.as_array() {
        Some(list) => list
            .iter()
            .filter_map(Value::as_str)
            .map(String::from)
            .collect(),
        None => {
            let text = command.as_str().unwrap_or_default();
            text.split_whitespace().map(String::from).collect()
        }
    }
}

/// Replaces the command in the same form; comments beside it stay.
fn replace(command: &mut Value, options: &[String]) {
    let words = ["siso-image", "run"].into_iter();
    let words = words.chain(options.iter().map(String::as_str));
    let mut new: Value = match command.is_array() {
        true => Array::from_iter(words).into(),
        false => words.collect::<Vec<_>>().join(" ").into(),
    };
    *new.decor_mut() = command.decor().clone();
    *command = new;
}
