//! Tests that run in the kernel, inside QEMU: `cargo test`.
//!
//! Rust's standard test harness needs `std`. The nightly feature
//! `custom_test_frameworks` collects the functions marked `#[test_case]` and
//! passes them to [`run`]; `tests/basic.rs` shows how. The results go to the
//! serial line in the standard harness's format, and QEMU's exit status reports
//! success or failure.
//!
//! A panic aborts, so no test can run after one that fails. Tests that end in a
//! panic or an exception on purpose are separate kernels: [`should_panic`],
//! [`should_fault`].

use crate::exceptions::{self, Exception};
use crate::once_cell::OnceCell;
use crate::qemu::{self, ExitCode};
use crate::{BootInfo, panic, serial_print, serial_println};
use core::fmt::Display;
use core::sync::atomic::{AtomicUsize, Ordering};

static BOOT_INFO: OnceCell<&'static BootInfo> = OnceCell::new();
static FILTER: OnceCell<&'static str> = OnceCell::new();
/// The check that [`should_fault`] applies to the exception.
static CHECK: OnceCell<fn(&Exception)> = OnceCell::new();

static PASSED: AtomicUsize = AtomicUsize::new(0);
/// Tests that have not finished yet.
static REMAINING: AtomicUsize = AtomicUsize::new(0);
static FILTERED_OUT: AtomicUsize = AtomicUsize::new(0);

/// A test: any function without arguments. It fails if it panics.
pub trait Test {
    /// The path of the function, without the crate.
    fn name(&self) -> &'static str;
    /// Runs the test; returns if it passes.
    fn run(&self);
}

impl<F: Fn()> Test for F {
    fn name(&self) -> &'static str {
        let path = core::any::type_name::<F>();
        path.split_once("::").map_or(path, |(_, name)| name)
    }

    fn run(&self) {
        self();
    }
}

/// To be called from `_start` of a test kernel: initializes everything, runs the
/// tests, and exits QEMU.
///
/// `tests` is the function named by `reexport_test_harness_main`, or one that
/// calls [`should_panic`] or [`should_fault`].
pub fn start(boot_info: &'static BootInfo, tests: fn()) -> ! {
    BOOT_INFO.set(boot_info);
    set_filter(boot_info.command_line());
    exceptions::init();
    tests();
    finished()
}

/// The boot info. Panics if [`start`] was not called.
pub fn boot_info() -> &'static BootInfo {
    BOOT_INFO.get().expect("`testing::start` was called")
}

/// Selects tests by the arguments of the standard harness: those whose names
/// contain one of the words, or all if there are no words, except those whose
/// names contain the argument of a `--skip`. Other options have no effect. Panics
/// if the filter is already set.
pub fn set_filter(words: &'static str) {
    FILTER.set(words);
}

fn is_selected(name: &str, filter: &str) -> bool {
    const WITH_VALUE: [&str; 4] = ["--test-threads", "--format", "--color", "--logfile"];
    let (mut has_words, mut matches) = (false, false);
    let mut words = filter.split_whitespace();
    while let Some(word) = words.next() {
        let skipped = match word {
            "--skip" => words.next(),
            word => word.strip_prefix("--skip="),
        };
        if let Some(skipped) = skipped {
            if name.contains(skipped) {
                return false;
            }
        } else if WITH_VALUE.contains(&word) {
            words.next();
        } else if !word.starts_with("--") {
            has_words = true;
            matches |= name.contains(word);
        }
    }
    matches || !has_words
}

/// The test runner: runs the selected tests, up to the first one that fails.
pub fn run(tests: &[&dyn Test]) {
    panic::set_hook(|info| failed(info));
    exceptions::set_hook(|exception| failed(exception));
    let filter = FILTER.get().unwrap_or("");
    let selected = || tests.iter().filter(|test| is_selected(test.name(), filter));
    begin(selected().count(), tests.len());
    for test in selected() {
        serial_print!("test {} ... ", test.name());
        test.run();
        passed();
    }
}

/// Runs a test that must end in a panic.
pub fn should_panic(name: &str, test: fn()) -> ! {
    panic::set_hook(|_| {
        passed();
        finished()
    });
    exceptions::set_hook(|exception| failed(exception));
    run_alone(name, "should panic", test)
}

/// Runs a test that must end in an exception. It passes if `check` returns;
/// `check` asserts that it was the right exception.
pub fn should_fault(name: &str, check: fn(&Exception), test: fn()) -> ! {
    CHECK.set(check);
    panic::set_hook(|info| failed(info));
    exceptions::set_hook(|exception| {
        if let Some(check) = CHECK.get() {
            check(exception);
        }
        passed();
        finished()
    });
    run_alone(name, "should fault", test)
}

/// Runs a single test that must not return, if it is selected.
fn run_alone(name: &str, expectation: &str, test: fn()) -> ! {
    let selected = is_selected(name, FILTER.get().unwrap_or(""));
    begin(selected.into(), 1);
    if selected {
        serial_print!("test {name} - {expectation} ... ");
        test();
        failed(&"the test returned")
    }
    finished()
}

fn begin(selected: usize, all: usize) {
    let tests = if selected == 1 { "test" } else { "tests" };
    serial_println!("\nrunning {selected} {tests}");
    REMAINING.store(selected, Ordering::Relaxed);
    FILTERED_OUT.store(all - selected, Ordering::Relaxed);
}

fn passed() {
    serial_println!("ok");
    PASSED.fetch_add(1, Ordering::Relaxed);
    REMAINING.fetch_sub(1, Ordering::Relaxed);
}

/// Ends a run because the current test failed.
fn failed(reason: &dyn Display) -> ! {
    let passed = PASSED.load(Ordering::Relaxed);
    let not_run = REMAINING.load(Ordering::Relaxed).saturating_sub(1);
    serial_println!("FAILED\n\n{reason}\n");
    serial_println!("test result: FAILED. {passed} passed; 1 failed; {not_run} not run\n");
    qemu::exit(ExitCode::Failure)
}

/// Ends a run in which no test failed.
fn finished() -> ! {
    let passed = PASSED.load(Ordering::Relaxed);
    let filtered_out = FILTERED_OUT.load(Ordering::Relaxed);
    serial_println!("\ntest result: ok. {passed} passed; 0 failed; {filtered_out} filtered out\n");
    qemu::exit(ExitCode::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_test() {}

    #[test_case]
    fn names_are_paths_without_the_crate() {
        assert_eq!(some_test.name(), "testing::tests::some_test");
    }

    #[test_case]
    fn words_select_tests() {
        for filter in [
            "",
            "vga",
            "scroll",
            "basic scroll",
            "--exact",
            "--nocapture vga",
            "--test-threads 1",
            "--skip basic",
        ] {
            assert!(is_selected("vga::tests::scrolling", filter), "{filter}");
        }
        for filter in [
            "basic",
            "basic panic",
            "--exact basic",
            "vga --skip scroll",
            "--skip=scroll",
        ] {
            assert!(!is_selected("vga::tests::scrolling", filter), "{filter}");
        }
    }
}
