//! The lines of the standard error, those of the log among them: as text, or each as an object of JSON.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use crate::{exit, notices};

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// An object on each line, with timestamp, level, target, message and the fields of the event
    Json,
}

/// How much a line of the command itself matters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Severity {
    Info,
    Warn,
    Error,
}

/// Whether lines are JSON. They are text until something else was set.
static JSON: AtomicBool = AtomicBool::new(false);

impl Format {
    /// Writes all further lines so.
    pub(crate) fn set(self) {
        JSON.store(self == Self::Json, Relaxed);
    }
}

/// Begins to log what passes `filter`, in the format that was set.
///
/// # Errors
/// It is no filter.
pub(crate) fn begin(filter: &str) -> Result<(), ParseError> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter)?)
        .with_writer(|| notices::Log)
        // Those are written without the notices.
        .log_internal_errors(false);
    // Another log of this process stays.
    let _ = match JSON.load(Relaxed) {
        true => log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        false => log.with_ansi(exit::is_colored(&io::stderr())).try_init(),
    };
    Ok(())
}

/// A line of the command itself.
pub(crate) fn line(severity: Severity, text: impl fmt::Display) -> String {
    if !JSON.load(Relaxed) {
        return format!("swapwire: {text}\n");
    }
    let mut timestamp = String::new();
    // Without a time, it is an empty text.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let level = format!("{severity:?}").to_uppercase();
    let message = text.to_string();
    let line = serde_json::json!({ "timestamp": timestamp, "level": level, "message": message, "target": "swapwire" });
    format!("{line}\n")
}
