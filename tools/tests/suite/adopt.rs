//! `siso-image adopt`: moving a kernel for the `bootloader` crate 0.9 over.

use crate::common::runner::command;
use crate::common::{Folder, top};
use crate::external_kernel::{cargo, copy};
use std::env;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// The settings of a kernel of the series, as its authors wrote them.
const CONFIG: &str = r#"[unstable]
build-std = ["core", "compiler_builtins"]

[build]
target = "x86_64-blog_os.json"

[target.'cfg(target_os = "none")']
runner = "bootimage runner" # runs it
"#;

/// The target of the series, before rustc changed the format.
const TARGET: &str = r#"{
  "llvm-target": "x86_64-unknown-none",
  "data-layout": "e-m:e-i64:64-f80:128-n8:16:32:64-S128",
  "arch": "x86_64",
  "target-endian": "little",
  "target-pointer-width": "64",
  "target-c-int-width": "32",
  "os": "none",
  "executables": true,
  "linker-flavor": "ld.lld",
  "linker": "rust-lld",
  "panic-strategy": "abort",
  "disable-redzone": true,
  "features": "-mmx,-sse,+soft-float"
}
"#;

/// The kernel of the series with these settings and this target.
fn kernel(config: &str, target: &str) -> Folder {
    let folder = Folder::new();
    copy(&top().join("tests/series"), &folder.0);
    write(&folder, "x86_64-blog_os.json", target);
    write(&folder, ".cargo/config.toml", config);
    folder
}

fn write(folder: &Folder, name: &str, text: &str) {
    fs::write(folder.0.join(name), text).expect("a file can be written");
}

/// Runs the command in a folder; returns its exit status and all that it said.
fn adopt(folder: &Folder, options: &[&str], answer: &str) -> (Option<i32>, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_siso-image"));
    let paths = env::var_os("PATH").unwrap_or_default();
    let here = program.parent().map(Path::to_owned);
    let paths = here.into_iter().chain(env::split_paths(&paths));
    let mut child = command()
        .arg("adopt")
        .args(options)
        .current_dir(&folder.0)
        .env("PATH", env::join_paths(paths).expect("no colon"))
        // Set by the Cargo that runs this test.
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the image builder starts");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    let _ = stdin.write_all(answer.as_bytes()); // it may not ask
    drop(stdin);
    let output = child.wait_with_output().expect("it can be waited for");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code(), said)
}

fn read(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.0.join(name)).expect("the file can be read")
}

/// Only the runner's line changes, and only if the user says yes.
#[test]
fn the_runner() {
    let target = top().join("tests/series/x86_64-series.json");
    let target = fs::read_to_string(target).expect("it can be read");
    let config = CONFIG.replace("[unstable]\n", "[unstable]\njson-target-spec = true\n");
    let folder = kernel(&config, &target);
    for answer in ["", "n\n", "maybe\n"] {
        let (status, said) = adopt(&folder, &[], answer);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!(read(&folder, ".cargo/config.toml"), config);
    }
    let (status, said) = adopt(&folder, &[], "y\n");
    assert_eq!(status, Some(0), "{said}");
    for words in [
        "bootloader ^0.9 (0.9.35), features: map_physical_memory",
        "[package.metadata.bootloader]: kernel-stack-size, physical-memory-offset",
        "x86_64-blog_os.json: rustc takes it",
        "-runner = \"bootimage runner\" # runs it\n+runner = \"siso-image run\" # runs it\n",
    ] {
        assert!(said.contains(words), "'{words}' is not in: {said}");
    }
    let expected = config.replace("bootimage runner", "siso-image run");
    assert_eq!(read(&folder, ".cargo/config.toml"), expected);
    assert_eq!(read(&folder, "x86_64-blog_os.json"), target);
    let (status, said) = adopt(&folder, &["--mend"], "y\n");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("There is nothing to change."), "{said}");
    assert_eq!(read(&folder, ".cargo/config.toml"), expected);
}

#[test]
fn other_forms_of_the_runner() {
    for (before, after) in [
        (
            "runner = \"bootimage runner --quiet\"",
            "runner = \"siso-image run --quiet\"",
        ),
        (
            "runner = [\"bootimage\", \"runner\"]",
            "runner = [\"siso-image\", \"run\"]",
        ),
        (
            "runner = \"/opt/bin/bootimage runner\"",
            "runner = \"siso-image run\"",
        ),
        (
            "rustflags = [\"-Cdebuginfo=2\"]",
            "rustflags = [\"-Cdebuginfo=2\"]
runner = \"siso-image run\"",
        ),
    ] {
        let folder = kernel(
            &format!("[target.'cfg(target_os = \"none\")']\n{before}\n"),
            "",
        );
        let (status, said) = adopt(&folder, &["--yes"], "");
        assert_eq!(status, Some(0), "{before}: {said}");
        let config = read(&folder, ".cargo/config.toml");
        assert_eq!(
            config,
            format!("[target.'cfg(target_os = \"none\")']\n{after}\n")
        );
    }
    let folder = kernel("", "");
    fs::remove_dir_all(folder.0.join(".cargo")).expect("it is there");
    let (status, said) = adopt(&folder, &["--yes"], "");
    assert_eq!(status, Some(0), "{said}");
    let config = read(&folder, ".cargo/config.toml");
    assert_eq!(
        config,
        "[target.'cfg(target_os = \"none\")']\nrunner = \"siso-image run\"\n"
    );

    let other = "[target.x86_64-os]\nrunner = \"./run.sh\"\n";
    let folder = kernel(other, "");
    let (status, said) = adopt(&folder, &["--yes"], "");
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("the runner is not bootimage's; it stays"),
        "{said}"
    );
    assert_eq!(read(&folder, ".cargo/config.toml"), other);
}

/// Without `--mend` it says what is wrong with the target; with it, everything
/// known is mended, all at once and each alone.
#[test]
fn the_target() {
    let folder = kernel(CONFIG, TARGET);
    let (status, said) = adopt(&folder, &["--yes"], "");
    assert_eq!(status, Some(1), "{said}");
    for words in [
        "rustc refuses it: target-pointer-width: invalid type",
        "x86_64-blog_os.json: `siso-image adopt --mend` mends it",
        "[unstable] json-target-spec: `siso-image adopt --mend` mends it",
    ] {
        assert!(said.contains(words), "'{words}' is not in: {said}");
    }
    assert_eq!(read(&folder, "x86_64-blog_os.json"), TARGET);
    let (status, said) = adopt(&folder, &["--mend", "--yes"], "");
    assert_eq!(status, Some(0), "{said}");
    let mended = read(&folder, "x86_64-blog_os.json");
    let config = read(&folder, ".cargo/config.toml");
    assert!(config.contains("json-target-spec = true\n"), "{config}");
    let (status, said) = adopt(&folder, &["--mend", "--yes"], "");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("rustc takes it"), "{said}");
    assert_eq!(read(&folder, "x86_64-blog_os.json"), mended);
    assert_eq!(read(&folder, ".cargo/config.toml"), config);

    let layout = mended
        .split("\"data-layout\": ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let layout = layout.expect("it has a data layout");
    for (good, bad) in [
        (layout, "\"e-m:e-i64:64-f80:128-n8:16:32:64-S128\","),
        (
            "\"target-pointer-width\": 64",
            "\"target-pointer-width\": \"64\"",
        ),
        (
            "\"target-c-int-width\": 32",
            "\"target-c-int-width\": \"32\"",
        ),
        (
            "\"rustc-abi\": \"softfloat\"",
            "\"rustc-abi\": \"x86-softfloat\"",
        ),
        ("  \"rustc-abi\": \"softfloat\",\n", ""),
    ] {
        let broken = mended.replace(good, bad);
        assert_ne!(broken, mended, "{good}");
        let folder = kernel(&config, &broken);
        let (status, said) = adopt(&folder, &["--mend", "--yes"], "");
        assert_eq!(status, Some(0), "{bad}: {said}");
        assert!(said.contains("rustc refuses it"), "{bad}: {said}");
        assert_eq!(read(&folder, "x86_64-blog_os.json"), mended);
    }
}

/// What it cannot do it says, and leaves alone.
#[test]
fn what_is_left_to_the_user() {
    let target = TARGET.replace("\"arch\": \"x86_64\"", "\"arch\": 64");
    let folder = kernel(CONFIG, &target);
    let (status, said) = adopt(&folder, &["--mend", "--yes"], "");
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("x86_64-blog_os.json: no known change helps: "),
        "{said}"
    );

    let folder = kernel(&CONFIG.replace("build-std", "other"), TARGET);
    let manifest = folder.0.join("Cargo.toml");
    let text = read(&folder, "Cargo.toml");
    let text = text.replace("test-success-exit-code = 33", "test-exit-code = 33");
    fs::write(&manifest, &text).expect("a file can be written");
    let (status, said) = adopt(&folder, &["--mend", "--yes"], "");
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("[package.metadata.bootimage] test-exit-code: unknown key"),
        "{said}"
    );
    assert!(said.contains("[unstable] build-std is not set"), "{said}");
    assert_eq!(read(&folder, "Cargo.toml"), text);

    let (status, said) = adopt(&Folder::new(), &[], "");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("Cargo.toml: No such file"), "{said}");
}

/// A kernel of the series in its old form runs after the one command.
#[test]
fn then_it_runs() {
    let folder = Folder::new();
    copy(&top().join("tests/series"), &folder.0);
    for (file, good, old) in [
        (".cargo/config.toml", "siso-image run", "bootimage runner"),
        (".cargo/config.toml", "json-target-spec = true\n", ""),
        ("x86_64-series.json", ": 64", ": \"64\""),
        (
            "x86_64-series.json",
            ",\n    \"rustc-abi\": \"softfloat\"",
            "",
        ),
    ] {
        let text = read(&folder, file);
        assert!(text.contains(good), "{good}");
        fs::write(folder.0.join(file), text.replace(good, old)).expect("it can be written");
    }
    let (output, said) = cargo(&folder.0, "series", &["run", "--locked"]);
    assert!(!output.status.success(), "{said}");
    let (status, said) = adopt(&folder, &["--mend", "--yes"], "");
    assert_eq!(status, Some(0), "{said}");
    let (output, said) = cargo(&folder.0, "series", &["run", "--locked"]);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("It did not crash!"), "{said}");
}
