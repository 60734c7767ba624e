//! Chromium without a window, driven by its DevTools protocol over two pipes
//! (<https://chromedevtools.github.io/devtools-protocol>).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{PATIENCE, Running, start, wait};

/// Its names in Debian and elsewhere.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// As many say what is wrong.
const MOST_COMPLAINTS: usize = 10;

pub(crate) struct Browser {
    process: Running,
    commands: ChildStdin,
    messages: Receiver<Value>,
    sent: u64,
    /// What pages complained about: errors of scripts, refusals by a policy, resources that were not there.
    complaints: Vec<String>,
    _profile: TempDir,
}

/// One of its pages.
#[derive(Clone)]
pub(crate) struct Page(String);

impl Browser {
    /// `None` if there is none here.
    pub(crate) fn start() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
        let Some(program) = program.into_iter().find(|program| program.is_file()) else {
            eprintln!("skipped: no chromium on this machine");
            return None;
        };
        Some(Self::run(&program))
    }

    fn run(program: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // It reads commands from descriptor 3 and writes to 4. The sandbox does not start as root, and the page is ours.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh"]).arg(program);
        command.args(["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run", "--disable-gpu"]);
        command.args(["--disable-dev-shm-usage", "--disable-background-networking", "--no-proxy-server"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        // What it keeps besides its profile.
        command.env("HOME", profile.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = start(&mut command);
        let commands = process.stdin.take().unwrap();
        let (to, messages) = sync_channel(10_000);
        let mut output = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || {
            loop {
                let mut message = Vec::new();
                if output.read_until(0, &mut message).unwrap() == 0 {
                    return;
                }
                message.pop();
                if to.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { process, commands, messages, sent: 0, complaints: Vec::new(), _profile: profile }
    }

    /// Opens a page.
    pub(crate) fn open(&mut self, url: &str) -> Page {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call(None, "Target.attachToTarget", attach);
        let page = Page(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Runtime", "Log", "Page"] {
            self.call(Some(&page), &format!("{domain}.enable"), json!({}));
        }
        let went = self.call(Some(&page), "Page.navigate", json!({ "url": url }));
        assert!(went.get("errorText").is_none(), "{url}: {went}");
        page
    }

    /// The value of an expression of JavaScript, waited for if it is a promise.
    pub(crate) fn evaluate(&mut self, page: &Page, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call(Some(page), "Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until `condition` is true in a page, which is looked at whenever its document changes.
    pub(crate) fn until(&mut self, page: &Page, condition: &str) {
        let promise = format!(
            "new Promise((done) => {{
                const look = () => {{ if ({condition}) {{ watcher.disconnect(); done(true); }} }};
                const watcher = new MutationObserver(look);
                watcher.observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});
                look();
            }})"
        );
        assert_eq!(self.evaluate(page, &promise), true, "{condition}");
    }

    /// Shows a page in a window of this size.
    pub(crate) fn resize(&mut self, page: &Page, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call(Some(page), "Emulation.setDeviceMetricsOverride", size);
    }

    /// Writes what a page shows to a file, as PNG.
    pub(crate) fn screenshot(&mut self, page: &Page, file: &Path) {
        let shot = self.call(Some(page), "Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        std::fs::write(file, STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// What pages complained about so far.
    pub(crate) fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Ends it.
    pub(crate) fn close(mut self) {
        self.call(None, "Browser.close", json!({}));
        wait(&mut self.process);
    }

    fn call(&mut self, page: Option<&Page>, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let mut command = json!({ "id": self.sent, "method": method, "params": parameters });
        if let Some(Page(session)) = page {
            command["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        // In all: events come as long as pages live.
        let end = Instant::now() + PATIENCE;
        loop {
            let Ok(mut message) = self.messages.recv_timeout(end.saturating_duration_since(Instant::now())) else {
                panic!("{method} {}: no answer; pages complained: {:?}", command["params"], self.complaints);
            };
            if message["id"] == self.sent {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            let complaint = match message["method"].as_str() {
                Some("Log.entryAdded") => &message["params"]["entry"],
                Some("Runtime.exceptionThrown") => &message["params"]["exceptionDetails"],
                _ => continue,
            };
            if self.complaints.len() < MOST_COMPLAINTS {
                self.complaints.push(complaint.to_string());
            }
        }
    }
}
