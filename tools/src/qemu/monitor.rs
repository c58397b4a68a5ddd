//! QEMU's monitor: QMP, the protocol that QEMU promises to keep. Source: QEMU
//! documentation, "QEMU Machine Protocol Specification" and "QMP Reference".

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connection to the monitor.
pub struct Monitor(BufReader<UnixStream>);

impl Monitor {
    /// Connects to a monitor that listens on this socket.
    pub fn connect(socket: &Path) -> io::Result<Monitor> {
        let mut monitor = Monitor(BufReader::new(UnixStream::connect(socket)?));
        monitor.message()?; // the greeting
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Executes a command; returns its result, or its error as a sentence of QEMU.
    pub fn execute(&mut self, command: &str, arguments: Value) -> io::Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.0.get_mut(), "{request}")?;
        loop {
            // Events may come first.
            let mut message = self.message()?;
            if let Some(result) = message.get_mut("return") {
                return Ok(result.take());
            }
            if let Some(error) = message.get("error") {
                let sentence = error["desc"].as_str().unwrap_or("unknown error");
                return Err(io::Error::other(sentence.to_string()));
            }
        }
    }

    /// Executes a command of the human monitor, for what QMP does not offer.
    pub fn human(&mut self, command: &str) -> io::Result<String> {
        let arguments = json!({ "command-line": command });
        let answer = self.execute("human-monitor-command", arguments)?;
        Ok(answer.as_str().unwrap_or_default().replace('\r', ""))
    }

    fn message(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}
