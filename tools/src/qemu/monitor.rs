//! QEMU's monitor: QMP, the protocol that QEMU promises to keep. Source: QEMU
//! documentation, "QEMU Machine Protocol Specification" and "QMP Reference".

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connection to the monitor.
pub struct Monitor {
    stream: BufReader<UnixStream>,
    /// Why QEMU ends, if it has said so.
    shutdown: Option<String>,
}

impl Monitor {
    /// Connects to a monitor that listens on this socket.
    pub fn connect(socket: &Path) -> io::Result<Monitor> {
        let mut monitor = Monitor {
            stream: BufReader::new(UnixStream::connect(socket)?),
            shutdown: None,
        };
        monitor.message()?; // the greeting
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Executes a command; returns its result, or its error as a sentence of QEMU.
    pub fn execute(&mut self, command: &str, arguments: Value) -> io::Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{request}")?;
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

    /// Why QEMU has ended, such as `guest-reset` or `guest-shutdown`. To be called
    /// after its end, which is the end of its messages, too.
    pub fn shutdown_reason(&mut self) -> Option<&str> {
        while self.message().is_ok() {}
        self.shutdown.as_deref()
    }

    fn message(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let message: Value = serde_json::from_str(&line)?;
        if message["event"] == "SHUTDOWN" {
            self.shutdown = message["data"]["reason"].as_str().map(String::from);
        }
        Ok(message)
    }
}
