//! What a run found out: lines for people, one object for programs, and an exit code.

use serde_json::{Map, Value};

/// All went well.
pub(crate) const OK: u8 = 0;
/// A fault was found, or the run itself failed.
pub(crate) const FAULT: u8 = 1;
/// Wrong usage.
pub(crate) const USAGE: u8 = 2;

/// The findings of one run.
#[derive(Debug)]
pub(crate) struct Report {
    title: String,
    lines: Vec<String>,
    object: Map<String, Value>,
    faults: Vec<String>,
}

impl Report {
    /// An empty one of `mode` against `subject`: an endpoint, or a process.
    pub(crate) fn new(mode: &str, subject: &str) -> Self {
        let mut report =
            Self { title: format!("{mode} {subject}"), lines: Vec::new(), object: Map::new(), faults: Vec::new() };
        report.set("mode", mode);
        report.set("subject", subject);
        report
    }

    /// A field of the object.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.object.insert(name.to_owned(), value.into());
    }

    /// A line of the summary.
    pub(crate) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Something that a right server does not do.
    pub(crate) fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    pub(crate) fn exit_code(&self) -> u8 {
        if self.faults.is_empty() { OK } else { FAULT }
    }

    /// The summary.
    pub(crate) fn text(&self) -> String {
        let verdict = if self.faults.is_empty() { "ok" } else { "FAULT" };
        let mut text = format!("{}: {verdict}\n", self.title);
        for line in &self.lines {
            text += &format!("  {line}\n");
        }
        for fault in &self.faults {
            text += &format!("  fault: {fault}\n");
        }
        text
    }

    /// The object, on one line.
    pub(crate) fn json(mut self) -> String {
        self.set("ok", self.faults.is_empty());
        let faults = std::mem::take(&mut self.faults);
        self.set("faults", faults);
        format!("{}\n", Value::Object(self.object))
    }
}
