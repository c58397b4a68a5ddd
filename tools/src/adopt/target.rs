//! The JSON file of a kernel's target, whose format rustc has changed many times.
//!
//! rustc itself is asked whether it takes the file, and its own target
//! `x86_64-unknown-none` is the model for what is mended. So this does not depend
//! on which toolchain the kernel uses.

use super::Change;
use super::config::Config;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A crate that rustc can compile for any target that it takes.
const EMPTY_CRATE: &str = "#![feature(no_core)]\n#![no_core]\n";

/// Says whether rustc takes the file; with `mend`, adds the known changes. Returns
/// what is left to the user.
pub fn check(
    file: &Path,
    config: &mut Config,
    mend: bool,
    changes: &mut Vec<Change>,
) -> Vec<String> {
    let name = file.display();
    let before = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return vec![format!("{name}: {error}")],
    };
    let mut left = Vec::new();
    let folder = file.parent().unwrap_or(Path::new("."));
    let with_mend = "`siso-image adopt --mend` mends it";
    if let Some(words) = refusal(folder, &before) {
        println!("{name}: rustc refuses it: {words}");
        let own = own_target(folder);
        let after = own.map_or_else(|| before.clone(), |own| mended(&before, &own));
        match refusal(folder, &after) {
            None if mend => {}
            None => left.push(format!("{name}: {with_mend}")),
            Some(words) => left.push(format!("{name}: no known change helps: {words}")),
        }
        if mend {
            let file = file.into();
            changes.push(Change {
                file,
                before,
                after,
            });
        }
    } else {
        println!("{name}: rustc takes it");
    }
    if !config.has_unstable("build-std") {
        left.push("[unstable] build-std is not set: there is no core for this target".into());
    }
    let key = "json-target-spec";
    if !config.has_unstable(key) && asks_for(folder, key) {
        println!("Cargo takes such a file only with [unstable] {key} = true, which is not set");
        match mend {
            true => left.extend(config.set_unstable(key).err()),
            false => left.push(format!("[unstable] {key}: {with_mend}")),
        }
    }
    left
}

/// Why rustc does not compile for the target that this text describes.
fn refusal(folder: &Path, text: &str) -> Option<String> {
    let scratch = tempfile::tempdir().ok()?;
    let file = scratch.path().join("target.json");
    fs::write(&file, text).ok()?;
    let mut command = Command::new("rustc");
    command
        .args([
            "-Zunstable-options",
            "--crate-type=rlib",
            "--emit=obj",
            "--target",
        ])
        .arg(&file)
        .arg("-o")
        .arg(scratch.path().join("object"))
        .arg("-");
    let output = match run(command, folder, EMPTY_CRATE) {
        Ok(output) if output.status.success() => return None,
        Ok(output) => output,
        Err(error) => return Some(format!("rustc: {error}")),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("error: "));
    let line = line.unwrap_or(said.trim());
    Some(
        line.trim_start_matches("error loading target specification: ")
            .into(),
    )
}

/// rustc's own target for kernels.
fn own_target(folder: &Path) -> Option<Value> {
    let mut command = Command::new("rustc");
    command.args([
        "-Zunstable-options",
        "--print=target-spec-json",
        "--target=x86_64-unknown-none",
    ]);
    let output = run(command, folder, "").ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

/// Whether this Cargo knows the unstable setting, and so wants it.
fn asks_for(folder: &Path, key: &str) -> bool {
    let mut command = Command::new("cargo");
    command.args(["-Z", "help"]);
    let output = run(command, folder, "");
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(key))
}

/// Runs a command in the kernel's folder, and so with its toolchain.
fn run(mut command: Command, folder: &Path, input: &str) -> std::io::Result<Output> {
    let mut child = command
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("it is a pipe");
    let _ = stdin.write_all(input.as_bytes()); // it may not read its input
    drop(stdin);
    child.wait_with_output()
}

/// The file with the known changes, taken from rustc's own target; all else stays
/// as it is written.
fn mended(text: &str, own: &Value) -> String {
    let Ok(json) = serde_json::from_str::<Value>(text) else {
        return text.into();
    };
    let word = |key: &str| json[key].as_str().unwrap_or_default();
    let mut after = text.to_string();
    if !word("llvm-target").starts_with("x86_64") {
        return after;
    }
    // Became a number in 2025-08; the data layout has changed with LLVM.
    for key in ["target-pointer-width", "data-layout"] {
        if json[key] != own[key] && !own[key].is_null() {
            after = set(&after, key, &own[key]);
        }
    }
    // Became a number in 2025-07; rustc's own target leaves it out.
    let width = &json["target-c-int-width"];
    if let (Some(number), true) = (width.as_str(), own["target-pointer-width"].is_number())
        && let Ok(number) = number.parse::<u64>()
    {
        after = set(&after, "target-c-int-width", &number.into());
    }
    // Needed with soft-float since 2025-02, and renamed in 2026-07.
    let abi = &own["rustc-abi"];
    if word("features").contains("+soft-float") && abi.is_string() && json["rustc-abi"] != *abi {
        after = set(&after, "rustc-abi", abi);
    }
    after
}

/// Replaces the value of a key at the top, or adds the key as the first one.
fn set(text: &str, key: &str, value: &Value) -> String {
    let name = format!("\"{key}\"");
    if let Some(at) = text.find(&name) {
        let rest = &text[at + name.len()..];
        let colon = rest.find(':').map_or(0, |colon| colon + 1);
        let rest = &rest[colon..];
        let start = text.len() - rest.trim_start().len();
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        if let Some(Ok(_)) = values.next() {
            let end = start + values.byte_offset();
            return format!("{}{value}{}", &text[..start], &text[end..]);
        }
    }
    let Some(brace) = text.find('{') else {
        return text.into();
    };
    let (before, after) = text.split_at(brace + 1);
    let space = &after[..after.len() - after.trim_start().len()];
    format!("{before}{space}{name}: {value},{after}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_set_where_they_are() {
        for (before, after) in [
            (
                "{\n  \"a\": \"1\",\n  \"b\": 2\n}\n",
                "{\n  \"a\": 64,\n  \"b\": 2\n}\n",
            ),
            (
                "{\"b\":{\"c\":1},\"a\":[1, 2]}",
                "{\"b\":{\"c\":1},\"a\":64}",
            ),
            ("{\n  \"b\": 2\n}\n", "{\n  \"a\": 64,\n  \"b\": 2\n}\n"),
        ] {
            assert_eq!(set(before, "a", &json!(64)), after);
        }
    }

    #[test]
    fn another_architecture_stays() {
        let text = r#"{"llvm-target": "aarch64-unknown-none", "target-pointer-width": "64"}"#;
        let own = json!({"target-pointer-width": 64, "data-layout": "x"});
        assert_eq!(mended(text, &own), text);
    }
}
