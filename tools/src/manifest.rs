//! The requests in a kernel's `Cargo.toml`: the keys of the `bootloader` crate
//! 0.9 and of the tool `bootimage`.
//!
//! Cargo itself reads the file (`cargo metadata`), so that it is interpreted in
//! the same way.

use crate::crate09::Crate09;
use crate::qemu::IMAGE;
use serde_json::Value;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// `[package.metadata.bootloader]`, `[package.metadata.bootimage]`, and this
/// program's own `[package.metadata.siso-image]`, since `bootimage` refuses unknown
/// keys in its table; and which loader the kernel is written for.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The features of the `bootloader` crate 0.9, if the kernel depends on it.
    pub crate09: Option<Crate09>,
    /// `kernel-stack-size`, in pages of 4 KiB.
    pub stack_pages: Option<u64>,
    /// `kernel-stack-address`: the guard page; the stack begins one page above.
    pub stack_address: Option<u64>,
    /// `physical-memory-offset`
    pub physical_memory_offset: Option<u64>,
    /// `boot-info-address`
    pub boot_info_address: Option<u64>,
    /// `run-command`: the program and its first arguments; `{}` is the image. Empty:
    /// QEMU with the image as a drive.
    pub run_command: Vec<String>,
    /// `run-args`: more arguments for QEMU.
    pub run_args: Vec<String>,
    /// `test-args`: the arguments for QEMU in a test.
    pub test_args: Option<Vec<String>>,
    /// `test-success-exit-code`: QEMU's exit status on success.
    pub test_success_exit_code: i32,
    /// `test-timeout`: the time limit of a test.
    pub test_timeout: Duration,
    /// `test-no-reboot`: whether a reset of the machine ends the test.
    pub test_no_reboot: bool,
    /// `quiet`: whether the loader prints only errors.
    pub quiet: bool,
}

impl Default for Manifest {
    /// Without requests: the loader's default addresses, and the exit status of
    /// `siso_os::qemu`.
    fn default() -> Self {
        Manifest {
            crate09: None,
            stack_pages: None,
            stack_address: None,
            physical_memory_offset: None,
            boot_info_address: None,
            run_command: Vec::new(),
            run_args: Vec::new(),
            test_args: None,
            test_success_exit_code: 0x10 << 1 | 1,
            test_timeout: Duration::from_secs(300),
            test_no_reboot: true,
            quiet: false,
        }
    }
}

/// The platform whose dependencies are those of a kernel. Cargo asks rustc about it
/// without building anything.
const PLATFORM: &str = "x86_64-unknown-none";

impl Manifest {
    /// The manifest of the package whose kernel Cargo is running; the defaults if
    /// the program was not started by Cargo.
    pub fn of_cargo() -> Result<Manifest, String> {
        match env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => Manifest::read(&PathBuf::from(folder).join("Cargo.toml")),
            None => Ok(Manifest::default()),
        }
    }

    /// Reads a `Cargo.toml`.
    pub fn read(path: &Path) -> Result<Manifest, String> {
        let about = |error: String| format!("{}: {error}", path.display());
        let (metadata, package) = cargo_metadata(path)?;
        let mut manifest = Manifest::of(&package["metadata"]).map_err(about)?;
        manifest.crate09 = crate09(&metadata, &package["id"]).map_err(about)?;
        let unmapped = |it: Crate09| !it.maps_physical_memory();
        if manifest.physical_memory_offset.is_some() && manifest.crate09.is_some_and(unmapped) {
            return Err(about(
                "[package.metadata.bootloader] physical-memory-offset: needs the feature \
                 map_physical_memory of the bootloader crate"
                    .into(),
            ));
        }
        Ok(manifest)
    }

    /// Reads the keys in `[package.metadata]`.
    pub fn of(metadata: &Value) -> Result<Manifest, String> {
        let mut manifest = Manifest::default();
        for table in ["bootloader", "bootimage", "siso-image"] {
            let keys = match metadata.get(table) {
                None => continue,
                Some(Value::Object(keys)) => keys,
                Some(_) => return Err(format!("[package.metadata] {table}: must be a table")),
            };
            for (key, value) in keys {
                manifest.set(table, key, value).map_err(|problem| {
                    // A key in quotes may have a line break.
                    let key = key.escape_debug();
                    format!("[package.metadata.{table}] {key}: {problem}")
                })?;
            }
        }
        Ok(manifest)
    }

    /// Sets one key; the error says what is wrong with it.
    fn set(&mut self, table: &str, key: &str, value: &Value) -> Result<(), String> {
        match (table, key) {
            ("bootloader", "kernel-stack-size") => {
                self.stack_pages = Some(
                    value
                        .as_u64()
                        .filter(|&n| n > 0)
                        .ok_or("must be a number of pages")?,
                );
            }
            ("bootloader", "kernel-stack-address") => self.stack_address = Some(address(value)?),
            ("bootloader", "physical-memory-offset") => {
                self.physical_memory_offset = Some(address(value)?);
            }
            ("bootloader", "boot-info-address") => self.boot_info_address = Some(address(value)?),
            ("bootimage", "run-args") => self.run_args = texts(value)?,
            ("bootimage", "test-args") => self.test_args = Some(texts(value)?),
            ("bootimage", "test-success-exit-code") => {
                let code = value.as_u64().and_then(|code| code.try_into().ok());
                self.test_success_exit_code = code.ok_or("must be an exit status")?;
            }
            ("bootimage", "test-timeout") => {
                let seconds = value.as_u64().ok_or("must be a number of seconds")?;
                self.test_timeout = Duration::from_secs(seconds);
            }
            ("bootimage", "test-no-reboot") => self.test_no_reboot = truth(value)?,
            ("bootimage", "run-command") => {
                self.run_command = texts(value)?;
                if !self.run_command.iter().any(|word| word.contains(IMAGE)) {
                    return Err("must contain {}, which stands for the disk image".into());
                }
            }
            // For the command `cargo bootimage`, which is not needed here.
            ("bootimage", "build-command") => {}
            ("siso-image", "quiet") => self.quiet = truth(value)?,
            _ => return Err("unknown key".into()),
        }
        Ok(())
    }
}

/// The features of the `bootloader` crate, if the package with this ID depends on it
/// directly, as its users do: for the boot info's types. The metadata is Cargo's.
fn crate09(metadata: &Value, package: &Value) -> Result<Option<Crate09>, String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let find = |items: &Value, id: &Value| list(items).into_iter().find(|item| item["id"] == *id);
    let nodes = &metadata["resolve"]["nodes"];
    let incomplete = "the output of cargo metadata is not complete";
    for dependency in list(&find(nodes, package).ok_or(incomplete)?["deps"]) {
        // Not one of tests or of the build script.
        let kinds = list(&dependency["dep_kinds"]);
        if !kinds.iter().any(|kind| kind["kind"].is_null()) {
            continue;
        }
        let id = &dependency["pkg"];
        let package = find(&metadata["packages"], id).ok_or(incomplete)?;
        let name = package["name"].as_str().unwrap_or_default();
        let version = package["version"].as_str().unwrap_or_default();
        if !["bootloader", "bootloader_api"].contains(&name) {
            continue;
        }
        if name != "bootloader" || !version.starts_with("0.9.") {
            return Err(format!(
                "depends on {name} {version}, whose boot protocol this loader does not have; \
                 of that crate, it replaces bootloader 0.9"
            ));
        }
        let features = list(&find(nodes, id).ok_or(incomplete)?["features"]);
        return Crate09::new(features.iter().filter_map(Value::as_str))
            .map(Some)
            .map_err(|error| format!("bootloader {version}: {error}"));
    }
    Ok(None)
}

/// What `cargo metadata` prints about a `Cargo.toml`, and its package in there.
pub fn cargo_metadata(path: &Path) -> Result<(Value, Value), String> {
    let about = |error: String| format!("{}: {error}", path.display());
    let path = path
        .canonicalize()
        .map_err(|error| about(error.to_string()))?;
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--filter-platform"])
        .args([PLATFORM, "--manifest-path"])
        .arg(&path)
        .current_dir(path.parent().unwrap_or(Path::new("/")))
        .output()
        .map_err(|error| about(format!("cargo metadata: {error}")))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(about(message.trim().into()));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| about(format!("cargo metadata: {error}")))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let package = packages
        .into_iter()
        .find(|package| package["manifest_path"].as_str().map(Path::new) == Some(&path))
        .cloned()
        .ok_or_else(|| about("is the manifest of a workspace, not of a package".into()))?;
    Ok((metadata, package))
}

/// A virtual address: a string, because TOML has no unsigned 64-bit numbers.
fn address(value: &Value) -> Result<u64, &'static str> {
    let text = value
        .as_str()
        .ok_or("must be a string such as \"0x10000000000\"")?;
    let digits = text.replace('_', "");
    let number = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    number.map_err(|_| "must be an address such as \"0x10000000000\"")
}

fn truth(value: &Value) -> Result<bool, &'static str> {
    value.as_bool().ok_or("must be true or false")
}

fn texts(value: &Value) -> Result<Vec<String>, &'static str> {
    let text = |value: &Value| value.as_str().map(String::from);
    let list = value.as_array();
    list.and_then(|list| list.iter().map(text).collect())
        .ok_or("must be a list of strings")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Manifest, String> {
        Manifest::of(&serde_json::from_str(text).expect("it is JSON"))
    }

    #[test]
    fn every_key() {
        let manifest = of(r#"{"other": {"x": 1},
            "bootloader": {"kernel-stack-size": 128, "kernel-stack-address": "0xFFFFFF8000000000",
                "physical-memory-offset": "4096", "boot-info-address": "0x1_0000"},
            "bootimage": {"run-args": ["-m", "64"], "test-args": ["-smp", "2"], "test-timeout": 5,
                "test-success-exit-code": 35, "test-no-reboot": false, "build-command": ["x"],
                "run-command": ["qemu", "-hda", "{}"]}, "siso-image": {"quiet": true}}"#);
        let expected = Manifest {
            crate09: None,
            stack_pages: Some(128),
            stack_address: Some(0xffff_ff80_0000_0000),
            physical_memory_offset: Some(4096),
            boot_info_address: Some(0x10000),
            run_command: vec!["qemu".into(), "-hda".into(), "{}".into()],
            run_args: vec!["-m".into(), "64".into()],
            test_args: Some(vec!["-smp".into(), "2".into()]),
            test_success_exit_code: 35,
            test_timeout: Duration::from_secs(5),
            test_no_reboot: false,
            quiet: true,
        };
        assert_eq!(manifest, Ok(expected));
        assert_eq!(of("null"), Ok(Manifest::default()));
    }

    #[test]
    fn invalid_values_are_refused() {
        for (text, sentence) in [
            (
                r#"{"bootloader": ["x"]}"#,
                "[package.metadata] bootloader: must be a table",
            ),
            (
                r#"{"bootimage": {"test-no-reboot": "true"}}"#,
                "test-no-reboot: must be true or false",
            ),
            (
                r#"{"bootloader": {"kernel-stack-size": 0}}"#,
                "kernel-stack-size: must be a number of pages",
            ),
            (
                r#"{"bootloader": {"kernel-stack-size": "a"}}"#,
                "kernel-stack-size: must be a number of pages",
            ),
            (
                r#"{"bootloader": {"boot-info-address": 4096}}"#,
                "boot-info-address: must be a string",
            ),
            (
                r#"{"bootloader": {"physical-memory-offset": "x"}}"#,
                "physical-memory-offset: must be an address",
            ),
            (
                r#"{"bootloader": {"color": "red"}}"#,
                "[package.metadata.bootloader] color: unknown key",
            ),
            (
                r#"{"bootimage": {"run-args": "-m 64"}}"#,
                "run-args: must be a list of strings",
            ),
            (
                r#"{"bootimage": {"run-command": ["qemu-system-x86_64", "a.bin"]}}"#,
                "run-command: must contain {}",
            ),
            (
                r#"{"siso-image": {"quiet": 1}}"#,
                "[package.metadata.siso-image] quiet: must be true or false",
            ),
            (
                r#"{"bootimage": {"run-args": [1]}}"#,
                "run-args: must be a list of strings",
            ),
            (
                r#"{"bootimage": {"test-timeout": -1}}"#,
                "test-timeout: must be a number of seconds",
            ),
            (
                r#"{"bootimage": {"test-success-exit-code": 1.5}}"#,
                "test-success-exit-code: must be an exit status",
            ),
        ] {
            let error = of(text).expect_err(text);
            assert!(error.contains(sentence), "{error}");
        }
    }
}
