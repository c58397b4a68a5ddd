//! The ways in which tests of a kernel for the `bootloader` crate 0.9 fail, under
//! `cargo test`: exit status and words.

use crate::common::{Folder, top};
use crate::external_kernel::{cargo, copy};
use std::fs;
use std::path::Path;

fn append(file: &Path, text: &str) {
    let before = fs::read_to_string(file).unwrap_or_default();
    fs::write(file, before + text).expect("a file can be written");
}

/// Adds a test with this body to a copy of `tests/basic_boot.rs`.
fn add_test(folder: &Path, name: &str, body: &str) {
    let tests = folder.join("tests");
    let basic = fs::read_to_string(tests.join("basic_boot.rs")).expect("it can be read");
    let text = format!("{basic}\n#[test_case]\nfn it_fails() {{\n    {body}\n}}\n");
    fs::write(tests.join(name).with_extension("rs"), text).expect("a file can be written");
}

const DOC_TEST: &str = "
/// ```
/// #![no_std]
/// #![no_main]
/// #[unsafe(no_mangle)]
/// extern \"C\" fn _start() -> ! {
///     series::serial_println!(\"in a doc test\");
///     series::exit_qemu(series::QemuExitCode::Failed)
/// }
/// #[panic_handler]
/// fn panic(_: &core::panic::PanicInfo) -> ! { series::hlt_loop() }
/// ```
pub fn with_a_doc_test() {}

#[cfg(test)]
#[test_case]
fn a_unit_test() {
    assert_eq!(1, 2);
}
";

/// The line of the manifest, up to its comment.
const LIMIT: &str = "test-timeout = 60 ";

/// Cargo passes on the exit status, except that of a doc test, which rustdoc turns
/// into 101. With bootimage 0.10.3, all of them are the same.
#[test]
fn of_a_kernel_of_the_series() {
    let folder = Folder::new();
    copy(&top().join("tests/series"), &folder.0);
    append(&folder.0.join("src/lib.rs"), DOC_TEST);
    let manifest = folder.0.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).expect("it can be read");
    assert!(text.contains(LIMIT));
    add_test(&folder.0, "assertion", "assert_eq!(1, 2);");
    add_test(&folder.0, "hang", "loop {}");
    add_test(&folder.0, "reset", "unsafe { core::arch::asm!(\"ud2\") }");

    let status = "failed: QEMU's exit status is 35; on success it would be 33";
    for (what, expected, words) in [
        (&["--lib"][..], 35, &["panicked at src/lib.rs", status][..]),
        (&["--test", "assertion"], 35, &["left: 1", status]),
        (&["--doc"], 101, &["in a doc test", status]),
        (&["--test", "hang"], 1, &["not finished after 3 seconds"]),
        (
            &["--test", "reset"],
            1,
            &["the machine was reset or switched off"],
        ),
    ] {
        let limit = if what == ["--test", "hang"] {
            "test-timeout = 3 "
        } else {
            LIMIT
        };
        fs::write(&manifest, text.replace(LIMIT, limit)).expect("it can be written");
        let arguments = [&["test", "--locked"], what].concat();
        let (output, said) = cargo(&folder.0, "series", &arguments);
        assert_eq!(output.status.code(), Some(expected), "{what:?}: {said}");
        for words in words {
            assert!(
                said.contains(words),
                "{what:?}: '{words}' is not in: {said}"
            );
        }
        let loader = said.contains("siso_os: stage 2");
        assert!(!loader, "{what:?}: the loader's lines: {said}");
    }
}
