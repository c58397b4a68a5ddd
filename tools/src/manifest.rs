//! What a kernel's `Cargo.toml` asks for: the keys of the `bootloader` crate
//! 0.9 and of the tool `bootimage`.
//!
//! Read by Cargo itself (`cargo metadata`), so that the file means here what
//! it means there.

use crate::json::Json;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// `[package.metadata.bootloader]` and `[package.metadata.bootimage]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// `kernel-stack-size`, in pages of 4 KiB.
    pub stack_pages: Option<u64>,
    /// `kernel-stack-address`: the stack begins a page above it.
    pub stack_address: Option<u64>,
    /// `physical-memory-offset`
    pub physical_memory_offset: Option<u64>,
    /// `boot-info-address`
    pub boot_info_address: Option<u64>,
    /// `run-args`: more arguments for QEMU.
    pub run_args: Vec<String>,
    /// `test-args`: the arguments for QEMU when it runs a test.
    pub test_args: Option<Vec<String>>,
    /// `test-success-exit-code`: QEMU's exit status when all is well.
    pub test_success_exit_code: i32,
    /// `test-timeout`
    pub test_timeout: Duration,
    /// `test-no-reboot`: a machine that resets itself ends the test.
    pub test_no_reboot: bool,
}

impl Default for Manifest {
    /// Where nothing is asked for: the loader's own places, and the exit
    /// status that `siso_os::qemu` leaves with.
    fn default() -> Self {
        Manifest {
            stack_pages: None,
            stack_address: None,
            physical_memory_offset: None,
            boot_info_address: None,
            run_args: Vec::new(),
            test_args: None,
            test_success_exit_code: 0x10 << 1 | 1,
            test_timeout: Duration::from_secs(300),
            test_no_reboot: true,
        }
    }
}

/// Keys of `bootimage` that are about its own way to build: they mean nothing
/// here.
const IGNORED: [&str; 2] = ["build-command", "run-command"];

impl Manifest {
    /// That of the package whose kernel Cargo is running; the defaults where
    /// it is not Cargo who runs us.
    pub fn of_cargo() -> Result<Manifest, String> {
        match env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => Manifest::read(&PathBuf::from(folder).join("Cargo.toml")),
            None => Ok(Manifest::default()),
        }
    }

    /// Reads a `Cargo.toml`.
    pub fn read(path: &Path) -> Result<Manifest, String> {
        let about = |error: String| format!("{}: {error}", path.display());
        let path = path
            .canonicalize()
            .map_err(|error| about(error.to_string()))?;
        let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
        let output = Command::new(cargo)
            .args([
                "metadata",
                "--format-version=1",
                "--no-deps",
                "--manifest-path",
            ])
            .arg(&path)
            .current_dir(path.parent().unwrap_or(Path::new("/")))
            .output()
            .map_err(|error| about(format!("cargo metadata: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(about(said.trim().into()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let metadata = Json::parse(&text).ok_or(about("cargo metadata said no JSON".into()))?;
        let is_it = |package: &&Json| {
            let manifest = package.get("manifest_path").and_then(Json::text);
            manifest.is_some_and(|manifest| Path::new(manifest) == path)
        };
        let packages = metadata.get("packages").map(Json::list).unwrap_or_default();
        let package = packages.iter().find(is_it);
        let package = package.ok_or(about("is a workspace's, without a package".into()))?;
        let metadata = package.get("metadata").unwrap_or(&Json::Null);
        Manifest::of(metadata).map_err(about)
    }

    /// Takes the keys from what stands below `[package.metadata]`.
    fn of(metadata: &Json) -> Result<Manifest, String> {
        let mut manifest = Manifest::default();
        for table in ["bootloader", "bootimage"] {
            let keys = match metadata.get(table) {
                None => continue,
                Some(Json::Object(keys)) => keys,
                Some(_) => return Err(format!("[package.metadata] {table}: wants a table")),
            };
            for (key, value) in keys {
                manifest
                    .set(table, key, value)
                    .map_err(|wanted| format!("[package.metadata.{table}] {key}: {wanted}"))?;
            }
        }
        Ok(manifest)
    }

    /// Takes one key; the error is what it should have been.
    fn set(&mut self, table: &str, key: &str, value: &Json) -> Result<(), String> {
        match (table, key) {
            ("bootloader", "kernel-stack-size") => {
                self.stack_pages = Some(
                    number(value)
                        .filter(|&n| n > 0)
                        .ok_or("wants a number of pages")?,
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
                let code = number(value).and_then(|code| code.try_into().ok());
                self.test_success_exit_code = code.ok_or("wants an exit status")?;
            }
            ("bootimage", "test-timeout") => {
                let seconds = number(value).ok_or("wants a number of seconds")?;
                self.test_timeout = Duration::from_secs(seconds);
            }
            ("bootimage", "test-no-reboot") => match value {
                Json::Bool(value) => self.test_no_reboot = *value,
                _ => return Err("wants true or false".into()),
            },
            ("bootimage", key) if IGNORED.contains(&key) => {}
            _ => return Err("is not known".into()),
        }
        Ok(())
    }
}

/// A whole number that is not negative.
fn number(value: &Json) -> Option<u64> {
    match value {
        Json::Number(number) if number.fract() == 0.0 && (0.0..1e15).contains(number) => {
            Some(*number as u64)
        }
        _ => None,
    }
}

/// A virtual address: a text, because TOML has no numbers of 64 bits.
fn address(value: &Json) -> Result<u64, &'static str> {
    let text = value
        .text()
        .ok_or("wants a text, such as \"0x10000000000\"")?;
    let digits = text.replace('_', "");
    let number = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    number.map_err(|_| "wants an address, such as \"0x10000000000\"")
}

fn texts(value: &Json) -> Result<Vec<String>, &'static str> {
    let text = |value: &Json| value.text().map(String::from);
    match value {
        Json::List(list) => list.iter().map(text).collect::<Option<_>>(),
        _ => None,
    }
    .ok_or("wants a list of texts")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Manifest, String> {
        Manifest::of(&Json::parse(text).expect("it is JSON"))
    }

    #[test]
    fn every_key() {
        let manifest = of(r#"{"other": {"x": 1},
            "bootloader": {"kernel-stack-size": 128, "kernel-stack-address": "0xFFFFFF8000000000",
                "physical-memory-offset": "4096", "boot-info-address": "0x1_0000"},
            "bootimage": {"run-args": ["-m", "64"], "test-args": ["-smp", "2"], "test-timeout": 5,
                "test-success-exit-code": 35, "test-no-reboot": false, "build-command": ["x"]}}"#);
        let wanted = Manifest {
            stack_pages: Some(128),
            stack_address: Some(0xffff_ff80_0000_0000),
            physical_memory_offset: Some(4096),
            boot_info_address: Some(0x10000),
            run_args: vec!["-m".into(), "64".into()],
            test_args: Some(vec!["-smp".into(), "2".into()]),
            test_success_exit_code: 35,
            test_timeout: Duration::from_secs(5),
            test_no_reboot: false,
        };
        assert_eq!(manifest, Ok(wanted));
        assert_eq!(of("null"), Ok(Manifest::default()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, sentence) in [
            (
                r#"{"bootloader": ["x"]}"#,
                "[package.metadata] bootloader: wants a table",
            ),
            (
                r#"{"bootimage": {"test-no-reboot": "true"}}"#,
                "test-no-reboot: wants true or false",
            ),
            (
                r#"{"bootloader": {"kernel-stack-size": 0}}"#,
                "kernel-stack-size: wants a number of pages",
            ),
            (
                r#"{"bootloader": {"kernel-stack-size": "a"}}"#,
                "kernel-stack-size: wants a number of pages",
            ),
            (
                r#"{"bootloader": {"boot-info-address": 4096}}"#,
                "boot-info-address: wants a text",
            ),
            (
                r#"{"bootloader": {"physical-memory-offset": "x"}}"#,
                "physical-memory-offset: wants an address",
            ),
            (
                r#"{"bootloader": {"color": "red"}}"#,
                "[package.metadata.bootloader] color: is not known",
            ),
            (
                r#"{"bootimage": {"run-args": "-m 64"}}"#,
                "run-args: wants a list of texts",
            ),
            (
                r#"{"bootimage": {"run-args": [1]}}"#,
                "run-args: wants a list of texts",
            ),
            (
                r#"{"bootimage": {"test-timeout": -1}}"#,
                "test-timeout: wants a number of seconds",
            ),
            (
                r#"{"bootimage": {"test-success-exit-code": 1.5}}"#,
                "test-success-exit-code: wants an exit status",
            ),
        ] {
            let said = of(text).expect_err(text);
            assert!(said.contains(sentence), "{said}");
        }
    }
}
