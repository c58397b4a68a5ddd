//! Tests that run in the kernel, inside QEMU: `cargo test`.
//!
//! Cargo's own harness wants `std`. The nightly feature `custom_test_frameworks`
//! collects the functions marked `#[test_case]` and hands them to [`run`];
//! `tests/basic.rs` shows how. All is said on the serial line, in the words
//! of Cargo's own harness, and QEMU's exit status tells how it went.
//!
//! A panic aborts, so nothing can be run behind a test that fails. Tests that
//! end in a panic or an exception by intention are kernels of their own:
//! [`should_panic`], [`should_fault`].

use crate::exceptions::{self, Exception};
use crate::once_cell::OnceCell;
use crate::qemu::{self, ExitCode};
use crate::{BootInfo, panic, serial_print, serial_println};
use core::fmt::Display;
use core::sync::atomic::{AtomicUsize, Ordering};

static BOOT_INFO: OnceCell<&'static BootInfo> = OnceCell::new();
static FILTER: OnceCell<&'static str> = OnceCell::new();
/// What [`should_fault`] checks its exception with.
static CHECK: OnceCell<fn(&Exception)> = OnceCell::new();

static PASSED: AtomicUsize = AtomicUsize::new(0);
/// Tests that are running or still to run.
static LEFT: AtomicUsize = AtomicUsize::new(0);
static FILTERED_OUT: AtomicUsize = AtomicUsize::new(0);

/// A test: any function without arguments. It fails by a panic.
pub trait Test {
    /// Its path, without the crate.
    fn name(&self) -> &'static str;
    /// Runs it; comes back if it has passed.
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

/// What `_start` of a test does: makes everything ready, runs the tests, leaves
/// QEMU.
///
/// `tests` is the function that `reexport_test_harness_main` names, or one
/// that calls [`should_panic`] or [`should_fault`].
pub fn start(boot_info: &'static BootInfo, tests: fn()) -> ! {
    BOOT_INFO.set(boot_info);
    set_filter(boot_info.command_line());
    exceptions::init();
    tests();
    finished()
}

/// What the loader told; panics in a kernel that was not begun with [`start`].
pub fn boot_info() -> &'static BootInfo {
    BOOT_INFO.get().expect("`testing::start` was called")
}

/// Chooses tests, with the words of Cargo's own harness: those whose name contains
/// one of the words, or all if there is no word; none that contains what stands
/// behind a `--skip`. Other options change nothing. Panics if it was done before.
pub fn set_filter(words: &'static str) {
    FILTER.set(words);
}

fn is_chosen(name: &str, filter: &str) -> bool {
    const WITH_VALUE: [&str; 4] = ["--test-threads", "--format", "--color", "--logfile"];
    let (mut any, mut named) = (false, false);
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
            any = true;
            named |= name.contains(word);
        }
    }
    named || !any
}

/// The test runner: runs those that are chosen, up to the first that fails.
pub fn run(tests: &[&dyn Test]) {
    panic::set_hook(|info| failed(info));
    exceptions::set_hook(|exception| failed(exception));
    let filter = FILTER.get().unwrap_or("");
    let chosen = || tests.iter().filter(|test| is_chosen(test.name(), filter));
    begin(chosen().count(), tests.len());
    for test in chosen() {
        serial_print!("test {} ... ", test.name());
        test.run();
        passed();
    }
}

/// Runs a test that is to end in a panic.
pub fn should_panic(name: &str, test: fn()) -> ! {
    panic::set_hook(|_| {
        passed();
        finished()
    });
    exceptions::set_hook(|exception| failed(exception));
    run_alone(name, "should panic", test)
}

/// Runs a test that is to end in an exception. It has passed if `check` comes
/// back: that looks, with assertions, whether it was the right exception.
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

/// Runs a test that should not come back, if it is chosen.
fn run_alone(name: &str, expectation: &str, test: fn()) -> ! {
    let chosen = is_chosen(name, FILTER.get().unwrap_or(""));
    begin(chosen.into(), 1);
    if chosen {
        serial_print!("test {name} - {expectation} ... ");
        test();
        failed(&"the test came back")
    }
    finished()
}

fn begin(chosen: usize, all: usize) {
    let tests = if chosen == 1 { "test" } else { "tests" };
    serial_println!("\nrunning {chosen} {tests}");
    LEFT.store(chosen, Ordering::Relaxed);
    FILTERED_OUT.store(all - chosen, Ordering::Relaxed);
}

fn passed() {
    serial_println!("ok");
    PASSED.fetch_add(1, Ordering::Relaxed);
    LEFT.fetch_sub(1, Ordering::Relaxed);
}

/// Ends a run in which the test at hand has failed.
fn failed(reason: &dyn Display) -> ! {
    let passed = PASSED.load(Ordering::Relaxed);
    let not_run = LEFT.load(Ordering::Relaxed).saturating_sub(1);
    serial_println!("FAILED\n\n{reason}\n");
    serial_println!("test result: FAILED. {passed} passed; 1 failed; {not_run} not run\n");
    qemu::exit(ExitCode::Failure)
}

/// Ends a run in which no test has failed.
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
    fn words_choose_tests() {
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
            assert!(is_chosen("vga::tests::scrolling", filter), "{filter}");
        }
        for filter in [
            "basic",
            "basic panic",
            "--exact basic",
            "vga --skip scroll",
            "--skip=scroll",
        ] {
            assert!(!is_chosen("vga::tests::scrolling", filter), "{filter}");
        }
    }
}
