//! What is known of each mutant. It is written down at once, so a run that is ended
//! goes on where it was.

use crate::lock;
use crate::mutate::Mutant;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Mutex;

/// What is known of a mutant.
#[derive(Default)]
pub struct Known {
    /// The test or boot that noticed it.
    pub killer: Option<String>,
    /// Those that did not.
    pub passed: BTreeSet<String>,
    /// The boots that ended as without it, but with another text on the serial line.
    pub differs: BTreeSet<String>,
}

/// What a test or boot says about a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Killed,
    Passed,
    Differs,
}

/// What is known of all mutants of a loader.
pub struct Results {
    file: File,
    all: Mutex<BTreeMap<String, Known>>,
}

fn key(mutant: &Mutant) -> String {
    format!("{:x} {}", mutant.point.address, mutant.change)
}

impl Results {
    /// Reads the file, if there is one.
    pub fn open(path: &Path) -> std::io::Result<Results> {
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        let mut all: BTreeMap<String, Known> = BTreeMap::new();
        for line in BufReader::new(&file).lines() {
            let line = line?;
            let [key, outcome, by] = line.split('|').collect::<Vec<_>>()[..] else {
                continue; // it was not written whole
            };
            let result = all.entry(key.into()).or_default();
            match outcome {
                "killed" => result.note(Verdict::Killed, by),
                "passed" => result.note(Verdict::Passed, by),
                _ => result.note(Verdict::Differs, by),
            }
        }
        Ok(Results {
            file,
            all: Mutex::new(all),
        })
    }

    /// Notes what a test or boot says about a mutant.
    pub fn note(&self, mutant: &Mutant, verdict: Verdict, by: &str) -> std::io::Result<()> {
        let key = key(mutant);
        let outcome = match verdict {
            Verdict::Killed => "killed",
            Verdict::Passed => "passed",
            Verdict::Differs => "differs",
        };
        let mut all = lock(&self.all);
        (&self.file).write_all(format!("{key}|{outcome}|{by}\n").as_bytes())?;
        all.entry(key).or_default().note(verdict, by);
        Ok(())
    }

    /// The addresses of the mutants that each test noticed, itself or by a boot of it,
    /// as it is now or was before.
    pub fn kills(&self) -> BTreeMap<String, Vec<u64>> {
        let mut kills: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (key, known) in &*lock(&self.all) {
            let address = key.split(' ').next().unwrap_or_default();
            let address = u64::from_str_radix(address, 16);
            if let (Some(killer), Ok(address)) = (&known.killer, address) {
                let name = killer.split(['@', '#']).next().unwrap_or_default();
                kills.entry(name.into()).or_default().push(address);
            }
        }
        kills
    }

    /// The test or boot that noticed it.
    pub fn killer(&self, mutant: &Mutant) -> Option<String> {
        lock(&self.all).get(&key(mutant))?.killer.clone()
    }

    /// Whether this test or boot did not notice it.
    pub fn passed(&self, mutant: &Mutant, by: &str) -> bool {
        let all = lock(&self.all);
        let result = all.get(&key(mutant));
        result.is_some_and(|result| result.passed.contains(by) || result.differs.contains(by))
    }

    /// Whether the text on the serial line was another one in this boot.
    pub fn differs(&self, mutant: &Mutant, boot: &str) -> bool {
        let all = lock(&self.all);
        let result = all.get(&key(mutant));
        result.is_some_and(|result| result.differs.contains(boot))
    }
}

impl Known {
    fn note(&mut self, verdict: Verdict, by: &str) {
        match verdict {
            Verdict::Killed => self.killer = Some(by.into()),
            Verdict::Passed => drop(self.passed.insert(by.into())),
            Verdict::Differs => drop(self.differs.insert(by.into())),
        }
    }
}
