//! The output of a guest, printed as it arrives.

use std::io::{BufRead, BufReader, Read, Write, stdout};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

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
    /// Starts to copy.
    pub fn new(output: impl Read + Send + 'static) -> Echo {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let also = Arc::clone(&seen);
        let printer = Some(thread::spawn(move || print(output, &also)));
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

fn print(output: impl Read, seen: &Mutex<Seen>) {
    let lock = || seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut output = BufReader::new(output);
    // Read to the end even if printing fails, so that QEMU does not block.
    while let Ok(bytes) = output.fill_buf() {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        lock().add(bytes);
        show(bytes);
        output.consume(length);
    }
    // A message of this program may come next.
    if lock().recent.last().is_some_and(|&byte| byte != b'\n') {
        show(b"\n");
        lock().add(b"\n");
    }
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
