//! The loader's budgets. Each is a repeatable count or a ratio of two medians;
//! none is a time.

use crate::DebugKernel;
use crate::boots::{Contender, SIZES};
use crate::builds::Builds;
use crate::text::{exact, millions, table};
use crate::tools;
use siso_image::SECTOR;
use siso_image::layout::{CHUNK_SECTORS, LOADER_BYTES};
use std::path::Path;

const SMALL_OWN: u64 = 47_000;
const OWN_PER_MIB: u64 = 430_244;
const MORE_CALLS: u64 = 10;
const TIMES_FLOOR: f64 = 1.6;
const KERNEL_BYTES: u64 = 8192;

/// All budgets with the measured figures.
pub struct Budgets(Vec<Budget>);

struct Budget {
    what: String,
    figure: String,
    limit: String,
    met: bool,
}

impl Budgets {
    /// Compares the measurements with the budgets. The first two contenders are
    /// the floor and this project's loader.
    pub fn of(
        contenders: &[Contender],
        debug: &DebugKernel,
        builds: &Builds,
        kernel: &Path,
    ) -> Result<Self, String> {
        let [floor, ours, ..] = contenders else {
            return Err("nothing was measured".into());
        };
        let mut budgets = Budgets(Vec::new());
        budgets.at_most("loader, bytes on disk", ours.bytes as u64, LOADER_BYTES);
        let kernel = tools::read(kernel)?.len() as u64;
        budgets.at_most("our kernel, bytes of its ELF", kernel, KERNEL_BYTES);
        let own: Vec<u64> = ours.boots.iter().map(|boot| boot.own()).collect();
        budgets.at_most("8 KiB: own instructions", own[0], SMALL_OWN);
        let per_mib = (own[3] - own[1]) / ((SIZES[3] - SIZES[1]) >> 20) as u64;
        budgets.at_most("additional own instructions per MiB", per_mib, OWN_PER_MIB);
        for (boot, bytes) in ours.boots.iter().zip(SIZES) {
            let chunk = SECTOR * CHUNK_SECTORS as usize;
            let what = format!("{} KiB: INT 13h calls", bytes >> 10);
            let limit = bytes.div_ceil(chunk) as u64 + MORE_CALLS;
            budgets.at_most(&what, boot.disk_calls(), limit);
        }
        for n in [2, 3] {
            let ratio = ours.boots[n].total() as f64 / floor.boots[n].total() as f64;
            budgets.0.push(Budget {
                what: format!("{} MiB: own + firmware / floor's", SIZES[n] >> 20),
                figure: format!("{ratio:.2}"),
                limit: format!("at most {TIMES_FLOOR}"),
                met: ratio <= TIMES_FLOOR,
            });
        }
        budgets.0.push(Budget {
            what: format!(
                "debug ELF of {} with {} bytes to load: own instructions",
                millions(debug.bytes as u64).replace(" M", " MB"),
                exact(debug.loaded)
            ),
            figure: exact(debug.whole.0),
            limit: format!("{}, the same as without debug data", exact(debug.reduced.0)),
            met: debug.whole == debug.reduced,
        });
        budgets.0.push(Budget {
            what: "`core` compiled by a clean `make image`".into(),
            figure: builds.cores.to_string(),
            limit: "1".into(),
            met: builds.cores == 1,
        });
        for one in [floor, ours] {
            let repeats = one.boots.iter().all(|boot| boot.repeats());
            budgets.0.push(Budget {
                what: format!("{}: own instructions and calls in all runs", one.name),
                figure: if repeats { "the same" } else { "not the same" }.into(),
                limit: "the same".into(),
                met: repeats,
            });
        }
        Ok(budgets)
    }

    fn at_most(&mut self, what: &str, figure: u64, limit: u64) {
        self.0.push(Budget {
            what: what.into(),
            figure: exact(figure),
            limit: format!("at most {}", exact(limit)),
            met: figure <= limit,
        });
    }

    /// The budgets that are not met.
    pub fn missed(&self) -> impl Iterator<Item = String> {
        self.0
            .iter()
            .filter(|one| !one.met)
            .map(|one| format!("{}: {}, the budget is {}", one.what, one.figure, one.limit))
    }

    /// A table of all budgets.
    pub fn table(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .0
            .iter()
            .map(|one| {
                vec![
                    one.what.clone(),
                    one.figure.clone(),
                    one.limit.clone(),
                    if one.met { "yes" } else { "**no**" }.into(),
                ]
            })
            .collect();
        table(&["budget", "figure", "limit", "met"], &rows)
    }
}
