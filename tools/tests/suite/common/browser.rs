//! Drives a headless Chromium through its DevTools protocol, over two pipes. The test of
//! the site (`tools/book/tests/site.rs`) includes this file, too.

use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The names of the program.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// The program, if there is one.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| PROGRAMS.map(|name| folder.join(name)))
        .find(|file| file.exists())
}

/// A browser with one page.
pub struct Browser {
    child: Child,
    commands: File,
    messages: BufReader<File>,
    session: String,
    number: u64,
    /// What the page asked of the network, logged, or threw.
    pub complaints: Vec<String>,
    _folder: TempDir,
}

impl Browser {
    /// Starts the browser with a window of this size.
    pub fn start(program: &Path, width: u32, height: u32, dark: bool) -> Browser {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            let made = Command::new("mkfifo").arg(&path).status();
            assert!(made.is_ok_and(|status| status.success()));
            path
        };
        let (input, output) = (pipe("input"), pipe("output"));
        let script = "exec \"$0\" --headless --no-sandbox --disable-gpu --no-first-run \
            --remote-debugging-pipe --user-data-dir=\"$1\" about:blank 3<\"$2\" 4>\"$3\"";
        let child = Command::new("sh")
            .args(["-c", script])
            .arg(program)
            .arg(folder.path().join("profile"))
            .args([&input, &output])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        let commands = File::options().write(true).open(input);
        let messages = File::open(output).expect("the browser writes");
        let mut browser = Browser {
            child,
            commands: commands.expect("the browser reads"),
            messages: BufReader::new(messages),
            session: String::new(),
            number: 0,
            complaints: Vec::new(),
            _folder: folder,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().expect("a name").into();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": width < 500 });
        browser.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        browser.call("Emulation.setEmulatedMedia", features);
        browser
    }

    /// Calls a method and returns its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        write!(self.commands, "{message}\0").expect("the browser reads");
        loop {
            let mut answer = Vec::new();
            let read = self.messages.read_until(0, &mut answer);
            assert!(read.is_ok_and(|count| count > 0), "{method}: it has ended");
            answer.pop();
            let answer: Value = serde_json::from_slice(&answer).expect("JSON");
            if answer["id"] == self.number {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.event(&answer);
        }
    }

    fn event(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled" => {
                self.complaints.push(parameters.to_string());
            }
            "Network.requestWillBeSent" => {
                let url = parameters["request"]["url"].as_str().unwrap_or_default();
                if !["file:", "data:", "about:"]
                    .iter()
                    .any(|kind| url.starts_with(kind))
                {
                    self.complaints.push(format!("asks for {url}"));
                }
            }
            _ => {}
        }
    }

    /// Opens a file and waits until its program has run.
    pub fn open(&mut self, file: &Path, hash: &str) {
        let url = format!("file://{}{hash}", file.display());
        self.call("Page.navigate", json!({ "url": url }));
        let start = Instant::now();
        while self.ask("document.readyState") != "complete" {
            assert!(start.elapsed() < Duration::from_secs(60), "{url}");
        }
    }

    /// The value of an expression in the page, or of its promise.
    pub fn ask(&mut self, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// By how many pixels the page is wider than its window. (The window of a telephone
    /// grows with the page, so its width must not be asked for.)
    pub fn overflow(&mut self) -> i64 {
        let wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        self.ask(wide).as_i64().expect("a number")
    }

    /// Presses a key; `shift` holds the shift key.
    pub fn press(&mut self, key: &str, shift: bool) {
        for kind in ["keyDown", "keyUp"] {
            let code = match key {
                "ArrowRight" => 39,
                "ArrowLeft" => 37,
                "ArrowDown" => 40,
                "Home" => 36,
                "End" => 35,
                "Enter" => 13,
                _ => 0,
            };
            let mut event = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code,
                "modifiers": if shift { 8 } else { 0 } });
            if key == "Enter" {
                event["text"] = "\r".into();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Types a text.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended already
        let _ = self.child.wait();
    }
}
