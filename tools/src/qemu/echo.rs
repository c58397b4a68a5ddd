//! The output of a guest, printed as it arrives.

use std::io::{BufRead, BufReader, Read, Write, stdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The loader's last message before the kernel starts.
const LAST_LOADER_MESSAGE: &str = "long mode, entry";
/// How many of the last bytes are kept: enough for the loader's last message.
const RECENT: usize = 1024;

/// A thread that copies QEMU's output to this program's, without the carriage
/// returns of a serial line.
pub struct Echo {
    printer: Option<JoinHandle<()>>,
    seen: Arc<Mutex<Seen>>,
}

/// What was in the output so far.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The number of bytes.
    pub bytes: u64,
    /// The last of them.
    pub recent: Vec<u8>,
}

impl Echo {
    /// Starts to copy. If `quiet`, the loader's lines are printed only if no kernel
    /// starts.
    pub fn new(output: impl Read + Send + 'static, quiet: bool) -> Echo {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let also = Arc::clone(&seen);
        let printer = Some(thread::spawn(move || print(output, quiet, &also)));
        Echo { printer, seen }
    }

    /// What was in the output so far.
    pub fn seen(&self) -> Seen {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the end of the output, which comes when QEMU ends.
    pub fn finish(&mut self) {
        if let Some(printer) = self.printer.take() {
            let _ = printer.join(); // it does not panic
        }
    }
}

fn print(output: impl Read, quiet: bool, seen: &Mutex<Seen>) {
    let mut output = BufReader::new(output);
    let mut withheld = Vec::new();
    let mut quiet = quiet;
    // Read to the end even if printing fails, so that QEMU does not block.
    while let Ok(bytes) = output.fill_buf() {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(bytes);
        if quiet {
            withheld.extend(bytes);
            if let Some(end) = loader_end(&withheld) {
                quiet = false;
                show(&withheld.split_off(end));
            }
        } else {
            show(bytes);
        }
        output.consume(length);
    }
    if quiet {
        show(&withheld);
    }
    // A message of this program may come next.
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.recent.last().is_some_and(|&byte| byte != b'\n') {
        show(b"\n");
        seen.add(b"\n");
    }
}

/// Where the kernel's output begins: after the loader's last line.
fn loader_end(output: &[u8]) -> Option<usize> {
    let message = LAST_LOADER_MESSAGE.as_bytes();
    let mut windows = output.windows(message.len());
    let start = windows.position(|window| window == message)?;
    let line = output[start..].iter().position(|&byte| byte == b'\n')?;
    Some(start + line + 1)
}

impl Seen {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.recent.extend(bytes);
        let excess = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..excess);
    }
}

fn show(bytes: &[u8]) {
    let bytes: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|&byte| byte != b'\r')
        .collect();
    let mut stdout = stdout().lock();
    let _ = stdout.write_all(&bytes).and_then(|()| stdout.flush()); // nobody may read
}
