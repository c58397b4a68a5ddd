//! Changes one instruction of the loader at a time, and looks whether a test of the
//! suite notices.
//!
//! The change is made in the assembled bytes; the checksums are made anew, so that
//! the loader does not refuse itself. First each boot of the tests is repeated with
//! the mutants, from a snapshot ([`guest`]): a kernel that does not pass, or an error
//! that is not as expected, is what the test would have failed for. What survives that
//! meets the tests themselves ([`suite`]).

mod boots;
mod guest;
mod mutate;
mod report;
mod results;
mod suite;

use bench::points::{self, Sources};
use bench::tools;
use boots::Boot;
use clap::{Arg, value_parser};
use guest::{Change, Guest};
use mutate::Mutant;
use results::{Results, Verdict};
use siso_image::LOADER;
use siso_image::qemu::Scratch;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use suite::{LONG, Outcome, Suite, Test};

/// How much longer than without a mutant a test may take. It may wait for a message
/// that does not come.
const FACTOR: u32 = 3;
const MORE: Duration = Duration::from_secs(5);
/// How long a quick boot takes at most, from QEMU's start to its end.
const QUICK: Duration = Duration::from_millis(350);
/// How near two mutants are that the same test is likely to notice, in bytes of code.
const NEARBY: u64 = 64;
/// How many tests are likely to notice a mutant.
const FEW: usize = 6;

/// What a mutant meets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// What is likely to notice it.
    Likely,
    /// Everything.
    All,
}

fn main() -> ExitCode {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        let arg = Arg::new(name).long(name).default_value(default).help(help);
        arg.value_parser(value_parser!(usize))
    };
    let matches = clap::Command::new("mutants")
        .about("Changes the loader and looks whether the tests notice")
        .arg(number("sample", "0", "How many mutants to try; 0: all"))
        .arg(number("seed", "1", "Chooses the sample"))
        .arg(
            Arg::new("until")
                .long("until")
                .default_value("tests")
                .value_parser(["record", "boots", "tests"])
                .help("The last step: record boots, repeat them, run tests"),
        )
        .arg(
            Arg::new("tests")
                .long("tests")
                .default_value("")
                .help("Only these tests: how their names begin, with commas"),
        )
        .arg(
            Arg::new("files")
                .long("files")
                .default_value("")
                .help("Only mutants of these files, or lines: how FILE:LINE begins, with commas"),
        )
        .arg(Arg::new("record").long("record").hide(true))
        .arg(
            Arg::new("qemu")
                .hide(true)
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true),
        )
        .get_matches();
    let outcome = match matches.get_one::<String>("record") {
        Some(folder) => {
            let arguments = matches.get_many("qemu").into_iter().flatten().cloned();
            boots::record(Path::new(folder), &arguments.collect::<Vec<_>>()).map(|()| true)
        }
        None => {
            let get = |name| *matches.get_one::<usize>(name).expect("there is a default");
            let until = matches.get_one::<String>("until").expect("a default");
            let tests = matches.get_one::<String>("tests").expect("a default");
            let files = matches.get_one::<String>("files").expect("a default");
            run(get("sample"), get("seed"), [tests, files], until)
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("mutants: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Tries the mutants; false if the table of survivors in docs/testing.md is wrong.
fn run(sample: usize, seed: usize, [tests, files]: [&str; 2], until: &str) -> Result<bool, String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("bench/ has a parent folder");
    let scratch = Scratch::new().map_err(|error| error.to_string())?;
    let points = points::all(&top.join("boot"), scratch.path())?;
    let sources = Sources::read(&top.join("boot"), &points)?;
    let suite = Suite::build(top)?;
    let program = scratch.path().join("suite");
    suite.write(&program, 0, &[])?;

    // What was found out about one loader says nothing about another.
    let folder = top
        .join("target/mutants")
        .join(sum_of_loader(scratch.path())?);
    let recordings = folder.join(format!("{:08x}", suite.sum()));
    let failed = |error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&recordings).map_err(failed)?;
    boots::wrapper(&recordings, &points)?;
    let mut names = suite.names(&program)?;
    let is_one = |name: &str, starts: &str| starts.split(',').any(|start| name.starts_with(start));
    names.retain(|name| is_one(name, tests));
    let mut tests = side_by_side(&names, |_, name| {
        suite.record(name, &program, &points, &recordings)
    })?;
    if until == "record" {
        return Ok(true);
    }
    let all: Vec<Mutant> = points.iter().flat_map(mutate::mutants).collect();
    let mut mutants = choose(all.iter().collect(), sample, seed as u64);
    mutants.retain(|Mutant { point, .. }| is_one(&format!("{}:{}", point.file, point.line), files));
    eprintln!("mutants: trying {} of {}", mutants.len(), all.len());
    let results = Results::open(&folder.join("results")).map_err(failed)?;
    let docs = tools::read(&top.join("docs/testing.md"))?;
    let docs = String::from_utf8_lossy(&docs);
    // What nothing notices meets every boot and test: last, where that is known.
    let explained = report::explained(&docs);
    let (known, open): (Vec<&Mutant>, Vec<&Mutant>) = mutants
        .iter()
        .partition(|mutant| explained.contains(&report::row_of(mutant, &sources)));
    let mut attempt = |some: &[&Mutant], effort| {
        let usable = repeat_boots(&tests, some, &results, effort)
            .map_err(|error| format!("repeating boots: {error}"))?;
        if until == "tests" {
            let folder = scratch.path();
            run_tests(&mut tests, &usable, some, &results, &suite, folder, effort)?;
        }
        Ok::<usize, String>(results.kills().values().map(Vec::len).sum())
    };
    // What was noticed says what else is likely to be.
    let mut before = 0;
    loop {
        let now = attempt(&open, Effort::Likely)?;
        if now == before {
            break;
        }
        before = now;
    }
    attempt(&open, Effort::All)?;
    attempt(&known, Effort::All)?;
    Ok(report::print(&mutants, &all, &results, &sources, &docs))
}

fn sum_of_loader(folder: &Path) -> Result<String, String> {
    let file = folder.join("loader");
    tools::write(&file, LOADER)?;
    let sum = tools::run(Command::new("sha256sum").arg(&file))?;
    Ok(sum.split(' ').next().unwrap_or_default().into())
}

/// Repeats the boots of the tests with each mutant that no boot before has noticed.
/// Likely to notice are quick boots that reach something new, and each boot where it
/// does so or its test noticed a mutant nearby. Returns the names of the boots that can be
/// repeated.
fn repeat_boots(
    tests: &[Test],
    mutants: &[&Mutant],
    results: &Results,
    effort: Effort,
) -> Result<BTreeSet<String>, String> {
    let mut boots: Vec<(&Test, &Boot)> = Vec::new();
    let mut names = BTreeSet::new();
    for test in tests {
        for boot in &test.recorded.boots {
            if names.insert(&boot.name) && !boot.unusable.exists() {
                boots.push((test, boot));
            }
        }
    }
    // The shortest first, and before all others those that reach something new.
    let time = |test: &Test| test.time / test.recorded.boots.len() as u32;
    boots.sort_by_key(|(test, _)| time(test));
    let mut reached: BTreeSet<u64> = BTreeSet::new();
    let mut with_new = Vec::new();
    for (test, boot) in boots {
        let new: BTreeSet<u64> = boot.reaches.difference(&reached).copied().collect();
        reached.extend(&new);
        with_new.push((new, test, boot));
    }
    with_new.sort_by_key(|(new, ..)| new.is_empty());
    let kills = results.kills();
    let boots: Vec<_> = with_new.into_iter().enumerate().collect();
    let usable = side_by_side(&boots, |worker, (n, (new, test, boot))| {
        let is_likely = |mutant: &Mutant| {
            let address = mutant.point.address;
            let all_new = time(test) < QUICK && !new.is_empty();
            all_new || new.contains(&address) || nearby(&kills, &test.name, address) > 0
        };
        let is_open = |mutant: &Mutant| {
            results.killer(mutant).is_none() && !results.passed(mutant, &boot.name)
        };
        let mut open: Vec<&Mutant> = mutants
            .iter()
            .copied()
            .filter(|mutant| boot.reaches.contains(&mutant.point.address))
            .filter(|mutant| effort == Effort::All || is_likely(mutant))
            .filter(|mutant| is_open(mutant))
            .collect();
        let name = &boot.name;
        if open.is_empty() {
            return Ok(Some(name.clone()));
        }
        // The boot at its side tries the same mutants: begin at either end.
        if worker % 2 == 1 {
            open.reverse();
        }
        eprintln!(
            "mutants: boot {n} of {}, {name}: {} mutants",
            boots.len(),
            open.len()
        );
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let Ok(Some(mut guest)) = Guest::start(boot) else {
            eprintln!("mutants: {name} cannot be repeated");
            tools::write(&boot.unusable, b"")?;
            return Ok(None);
        };
        for mutant in open {
            if !is_open(mutant) {
                continue;
            }
            let mut change = guest.change(mutant.point.address, &mutant.bytes);
            if !matches!(change, Ok(Change::None | Change::Text)) && !guest.is_good() {
                // Was it the mutant, or the guest? A new one tells.
                guest = start(boot)?;
                change = guest.change(mutant.point.address, &mutant.bytes);
                if !guest.is_good() {
                    guest = start(boot)?;
                }
            }
            // It may have ended even QEMU.
            let change = change.unwrap_or(Change::End);
            let verdict = match change {
                Change::End => Verdict::Killed,
                Change::Text => Verdict::Differs,
                Change::None => Verdict::Passed,
            };
            results.note(mutant, verdict, name).map_err(failed)?;
        }
        Ok(Some(name.clone()))
    })?;
    Ok(usable.into_iter().flatten().collect())
}

/// Does this with each of them, in order, as many at a time as there are CPUs and one
/// more, as many wait; each worker has a number.
fn side_by_side<T: Sync, R: Send>(
    all: &[T],
    work: impl Fn(usize, &T) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    let next = AtomicUsize::new(0);
    let worker = |number: usize| {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            match all.get(n) {
                Some(one) => done.push(work(number, one).inspect_err(|_| {
                    next.store(all.len(), Ordering::Relaxed); // the others end, too
                })?),
                None => return Ok(done),
            }
        }
    };
    let worker = &worker;
    let count = 1 + thread::available_parallelism().map_or(1, |count| count.get());
    let done: Result<Vec<Vec<R>>, String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || worker(number)))
            .collect();
        let results = workers.into_iter().map(|worker| worker.join());
        results.map(|it| it.expect("no worker panics")).collect()
    });
    Ok(done?.into_iter().flatten().collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a guest that could be started before.
fn start(boot: &Boot) -> Result<Guest, String> {
    let guest = Guest::start(boot).map_err(|error| format!("{}: {error}", boot.name))?;
    guest.ok_or_else(|| format!("{} cannot be repeated any more", boot.name))
}

/// Whether a test fails with a mutant.
fn fails(mutant: &Mutant, test: &Test, suite: &Suite, program: &Path) -> Result<bool, String> {
    let run = |time: Duration| {
        suite.write(program, mutant.point.offset(), &mutant.bytes)?;
        suite.run(&test.name, program, time * FACTOR + MORE, None)
    };
    let outcome = match run(test.time)? {
        Outcome::TimedOut => {
            // Is it the mutant, or is the machine busier than before?
            suite.write(program, 0, &[])?;
            let start = Instant::now();
            suite.run(&test.name, program, LONG, None)?;
            run(start.elapsed())?
        }
        outcome => outcome,
    };
    Ok(outcome != Outcome::Passed)
}

/// How many mutants near an address a test has noticed.
fn nearby(kills: &BTreeMap<String, Vec<u64>>, name: &str, address: u64) -> usize {
    let kills = kills.get(name).map_or(&[][..], Vec::as_slice);
    let near = |kill: &&u64| address.abs_diff(**kill) < NEARBY;
    kills.iter().filter(near).count()
}

/// Runs the tests with each mutant that no boot has noticed, as far as they look at
/// more than how a boot ends. Likely to notice are those that noticed mutants nearby,
/// and those in whose boots the text is another one.
fn run_tests(
    tests: &mut [Test],
    usable: &BTreeSet<String>,
    mutants: &[&Mutant],
    results: &Results,
    suite: &Suite,
    folder: &Path,
    effort: Effort,
) -> Result<(), String> {
    // A changed test may notice more.
    let name = |test: &Test| format!("{}@{:08x}", test.name, suite.sum());
    tests.sort_by_key(|test| test.time);
    let tests: Vec<&Test> = tests.iter().filter(|test| test.can_have_mutant()).collect();
    side_by_side(mutants, |worker, mutant| {
        if results.killer(mutant).is_some() {
            return Ok(());
        }
        // Where the text differs, only the test knows whether it looks at that.
        let differs = |test: &Test| {
            let mut boots = test.recorded.boots.iter();
            boots.any(|boot| results.differs(mutant, &boot.name))
        };
        let is_open = |test: &Test| {
            let mut boots = test.recorded.boots.iter();
            let was_repeated = test.recorded.complete
                && boots.all(|boot| boot.has_exit() && usable.contains(&boot.name));
            test.recorded.reaches.contains(&mutant.point.address)
                && !results.passed(mutant, &name(test))
                && (!was_repeated || differs(test))
        };
        let program = folder.join(format!("suite{worker}"));
        let kills = results.kills();
        let near = |test: &Test| nearby(&kills, &test.name, mutant.point.address);
        let is_likely = |test: &Test| differs(test) || near(test) > 0;
        let mut open: Vec<&&Test> = tests
            .iter()
            .filter(|test| is_open(test))
            .filter(|test| effort == Effort::All || is_likely(test))
            .collect();
        open.sort_by_cached_key(|test| (!differs(test), Reverse(near(test))));
        if effort == Effort::Likely {
            open.truncate(FEW);
        }
        for test in open {
            let verdict = match fails(mutant, test, suite, &program)? {
                true => Verdict::Killed,
                false => Verdict::Passed,
            };
            results
                .note(mutant, verdict, &name(test))
                .map_err(|error| format!("{}: {error}", test.name))?;
            if verdict == Verdict::Killed {
                break;
            }
        }
        let _ = fs::remove_file(&program); // there is none without an open test
        Ok(())
    })
    .map(drop)
}

/// A sample, the same for the same seed (Knuth's linear congruential generator); a
/// larger one includes it.
fn choose<T>(mut mutants: Vec<T>, sample: usize, mut seed: u64) -> Vec<T> {
    while sample > 0 && mutants.len() > sample {
        seed = seed
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        let at = (seed >> 33) as usize % mutants.len();
        mutants.remove(at);
    }
    mutants
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn samples() {
        let all: Vec<usize> = (0..1000).collect();
        assert_eq!(choose(all.clone(), 0, 1), all);
        let (small, large) = (choose(all.clone(), 30, 1), choose(all.clone(), 60, 1));
        assert_eq!([small.len(), large.len()], [30, 60]);
        assert!(small.iter().all(|n| large.contains(n)));
        assert_ne!(choose(all, 30, 2), small);
    }
}
