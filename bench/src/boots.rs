//! The loaders that are compared, and what each needs for kernels of all sizes.

use crate::count::{Caller, Calls, Counter, Counts};
use crate::text::{count, exact, median, millions, ratio, size, spread, table};
use std::path::PathBuf;

/// Bytes of data in the kernels that are booted.
pub const SIZES: [usize; 4] = [8 << 10, 1 << 20, 16 << 20, 64 << 20];

/// A loader, with a disk for each size and the counts of its boots.
pub struct Contender {
    /// Its name in the tables.
    pub name: String,
    /// Its size on the disk in bytes.
    pub bytes: usize,
    /// One for each of [`SIZES`].
    pub boots: Vec<Boot>,
}

/// A disk, and the counts of its boots.
pub struct Boot {
    /// The disk image.
    pub disk: PathBuf,
    /// The address of the kernel's first instruction.
    pub entry: u64,
    /// The counts of each run.
    pub runs: Vec<Counts>,
}

impl Boot {
    /// A disk that has not been booted yet.
    pub fn new(disk: PathBuf, entry: u64) -> Self {
        Boot {
            disk,
            entry,
            runs: Vec::new(),
        }
    }

    /// The loader's own instructions; the same in every run if [`Self::repeats`].
    pub fn own(&self) -> u64 {
        median(self.runs.iter().map(|run| run.own))
    }

    /// The firmware's instructions; they vary, because it waits for the disk.
    pub fn firmware(&self) -> u64 {
        median(self.runs.iter().map(|run| run.firmware))
    }

    /// The loader's and the firmware's instructions together.
    pub fn total(&self) -> u64 {
        median(self.runs.iter().map(Counts::total))
    }

    /// The number of INT 13h calls.
    pub fn disk_calls(&self) -> u64 {
        median(self.runs.iter().map(Counts::disk_calls))
    }

    /// Whether the loader's instructions and the INT 13h calls were the same in all
    /// runs.
    pub fn repeats(&self) -> bool {
        self.runs.iter().all(|run| {
            let same = |of: fn(&Counts) -> u64| of(run) == of(&self.runs[0]);
            same(|run| run.own) && same(Counts::disk_calls)
        })
    }
}

/// Boots all disks of all contenders in turn, `runs` times, so that a temporary
/// slowdown of the host affects all of them.
pub fn run(contenders: &mut [Contender], counter: &Counter, runs: usize) -> Result<(), String> {
    for run in 1..=runs {
        for (n, bytes) in SIZES.into_iter().enumerate() {
            eprintln!("run {run} of {runs}: kernels of {}", size(bytes));
            for contender in &mut *contenders {
                let boot = &mut contender.boots[n];
                boot.runs.push(counter.boot(&boot.disk, boot.entry)?);
            }
        }
    }
    Ok(())
}

/// Counts of a loader from an earlier measurement, on QEMU 7.2 with SeaBIOS
/// 1.16.2.
pub struct Reference {
    /// Its name in the tables.
    pub name: &'static str,
    /// Its size on the disk in bytes.
    pub bytes: u64,
    /// The loader's instructions, the firmware's, and the INT 13h calls, for each
    /// of [`SIZES`].
    pub counts: [(u64, u64, u64); 4],
}

/// The counts of loaders that are not built here.
pub const REFERENCES: [Reference; 4] = [
    Reference {
        name: "bootloader 0.9.35",
        bytes: 49_152,
        counts: [
            (314_724, 140_000, 29),
            (648_226, 3_400_000, 2_061),
            (5_740_000, 52_000_000, 32_781),
            (22_000_000, 254_000_000, 131_085),
        ],
    },
    Reference {
        name: "bootloader 0.11.16",
        bytes: 762_249,
        counts: [
            (26_700_000, 1_400_000, 58),
            (39_600_000, 4_400_000, 123),
            (233_000_000, 19_900_000, 1_114),
            (853_000_000, 112_000_000, 4_282),
        ],
    },
    Reference {
        name: "Limine 8.2",
        bytes: 230_995,
        counts: [
            (27_000_000, 2_400_000, 381),
            (112_000_000, 4_400_000, 402),
            (357_000_000, 21_000_000, 892),
            (1_053_000_000, 139_000_000, 4_509),
        ],
    },
    Reference {
        name: "GRUB 2.06, minimal",
        bytes: 145_041,
        counts: [
            (108_000_000, 2_300_000, 22),
            (124_000_000, 3_400_000, 86),
            (355_000_000, 20_800_000, 1_054),
            (1_078_000_000, 161_000_000, 4_388),
        ],
    },
];

/// The references for loaders that were not measured in this run.
pub fn others(contenders: &[Contender]) -> impl Iterator<Item = &'static Reference> {
    let measured: Vec<String> = contenders.iter().map(|one| one.name.clone()).collect();
    REFERENCES
        .iter()
        .filter(move |other| !measured.iter().any(|name| name == other.name))
}

fn head<'a>(first: &[&'a str], sizes: &'a [String]) -> Vec<&'a str> {
    first
        .iter()
        .copied()
        .chain(sizes.iter().map(String::as_str))
        .collect()
}

/// Three tables: the counts, their ratios to the floor, and the spread of the
/// firmware's instructions.
pub fn tables(contenders: &[Contender]) -> String {
    let sizes = SIZES.map(size);
    let cell =
        |own, firmware, calls| format!("{} + {}, {}", count(own), millions(firmware), exact(calls));
    let mut rows = Vec::new();
    for one in contenders {
        let mut row = vec![one.name.clone(), exact(one.bytes as u64)];
        row.extend(
            one.boots
                .iter()
                .map(|boot| cell(boot.own(), boot.firmware(), boot.disk_calls())),
        );
        rows.push(row);
    }
    for other in others(contenders) {
        let mut row = vec![format!("{} *", other.name), exact(other.bytes)];
        row.extend(
            other
                .counts
                .map(|(own, firmware, calls)| cell(own, firmware, calls)),
        );
        rows.push(row);
    }
    let counts = table(&head(&["loader", "bytes on disk"], &sizes), &rows);

    let floor: Vec<f64> = contenders[0]
        .boots
        .iter()
        .map(|boot| boot.total() as f64)
        .collect();
    let mut rows = Vec::new();
    for one in &contenders[1..] {
        let ratios = one.boots.iter().zip(&floor);
        let ratios = ratios.map(|(boot, &floor)| ratio(boot.total() as f64, floor));
        rows.push([one.name.clone()].into_iter().chain(ratios).collect());
    }
    for other in others(contenders) {
        let ratios = other.counts.iter().zip(&floor);
        let ratios =
            ratios.map(|(&(own, firmware, _), &floor)| ratio((own + firmware) as f64, floor));
        rows.push(
            [format!("{} *", other.name)]
                .into_iter()
                .chain(ratios)
                .collect(),
        );
    }
    let ratios = table(&head(&["own + firmware / floor"], &sizes), &rows);

    let rows: Vec<Vec<String>> = contenders
        .iter()
        .map(|one| {
            let spreads = one.boots.iter().map(|boot| {
                let firmware = boot.runs.iter().map(|run| run.firmware as f64);
                format!("{:.1} %", spread(firmware))
            });
            [one.name.clone()].into_iter().chain(spreads).collect()
        })
        .collect();
    let spreads = table(
        &head(&["spread of the firmware's instructions"], &sizes),
        &rows,
    );
    format!("{counts}\n{ratios}\n{spreads}")
}

/// The firmware's instructions by BIOS service, in the run with the median total.
pub fn services(contender: &Contender) -> String {
    let runs: Vec<&Counts> = contender.boots.iter().map(median_run).collect();
    let mut callers: Vec<Caller> = runs
        .iter()
        .flat_map(|run| run.callers.keys().copied())
        .collect();
    callers.sort();
    callers.dedup();
    let calls = |run: &Counts, caller| run.callers.get(&caller).copied().unwrap_or_default();
    let rows: Vec<Vec<String>> = callers
        .into_iter()
        .filter(|&caller| {
            runs.iter()
                .any(|run| calls(run, caller) != Calls::default())
        })
        .map(|caller| {
            let cells = runs.iter().map(|run| {
                let Calls {
                    calls,
                    instructions,
                } = calls(run, caller);
                format!("{} in {}", count(instructions), exact(calls))
            });
            [caller_name(caller)].into_iter().chain(cells).collect()
        })
        .collect();
    table(&head(&["firmware, called by"], &SIZES.map(size)), &rows)
}

fn caller_name(caller: Caller) -> String {
    match caller {
        Caller::Int(0x10) => "INT 10h: screen".into(),
        Caller::Int(0x11) => "INT 11h: equipment".into(),
        Caller::Int(0x12) => "INT 12h: low memory".into(),
        Caller::Int(0x13) => "INT 13h: disk".into(),
        Caller::Int(0x15) => "INT 15h: memory, A20, mode".into(),
        Caller::Int(0x16) => "INT 16h: keyboard".into(),
        Caller::Int(number) => format!("INT {number:02X}h"),
        Caller::Hardware => "hardware (timer)".into(),
    }
}

/// The run with the median total.
pub fn median_run(boot: &Boot) -> &Counts {
    let total = boot.total();
    let run = boot.runs.iter().find(|run| run.total() == total);
    run.expect("the median is one of the totals")
}
