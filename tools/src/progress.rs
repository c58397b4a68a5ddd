//! Progress of long work, as one line on a terminal that is written over.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// How often the line changes. What takes less time shows none.
const INTERVAL: Duration = Duration::from_millis(500);

/// A line on standard error. Where that is no terminal, nothing is written.
pub struct Progress {
    terminal: bool,
    since: Instant,
    shown: bool,
}

impl Progress {
    /// No line yet.
    pub fn new() -> Progress {
        Progress {
            terminal: stderr().is_terminal(),
            since: Instant::now(),
            shown: false,
        }
    }

    /// Shows this line, unless the last one is too recent.
    pub fn show(&mut self, line: impl FnOnce() -> String) {
        if self.terminal && self.since.elapsed() >= INTERVAL {
            eprint!("\r\x1b[K{}", line());
            self.since = Instant::now();
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
