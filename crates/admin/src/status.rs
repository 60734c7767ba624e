//! What `/status` tells.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// A server at one moment. Its JSON is described in `docs/admin.md`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// How long it has run, by a clock that only goes forward.
    #[serde(rename = "uptime_seconds", serialize_with = "seconds")]
    pub uptime: Duration,
    /// Why it takes no new peers; `None` if it does.
    pub not_ready: Option<String>,
    /// Whether it ends.
    pub drain: Drain,
    /// Its threads.
    pub workers: u64,
    /// What it listens on, in the order of the configuration.
    pub listeners: Vec<ListenerStatus>,
    /// The server's limits: name, value as flags have it.
    #[serde(serialize_with = "map")]
    pub limits: Vec<(&'static str, String)>,
    /// What reloads there were.
    pub reload: ReloadStatus,
}

/// How far the end of a server has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Drain {
    /// It serves.
    #[default]
    None,
    /// It serves, and tells that it will not do so for long.
    Delayed,
    /// It ends what runs.
    Running,
}

/// One listener, all its addresses and workers together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListenerStatus {
    /// As the label `listener` of metrics.
    pub name: String,
    /// As the label `transport` of metrics.
    pub transport: String,
    /// What was really bound.
    pub endpoints: Vec<String>,
    /// Whether new peers reach it.
    pub is_healthy: bool,
    /// Sessions that run.
    pub sessions_open: u64,
    /// Sessions that began.
    pub sessions: u64,
    /// What came.
    pub received: Traffic,
    /// What went.
    pub sent: Traffic,
    /// Messages and replies that were dropped or withheld.
    pub dropped: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Errors and panics of handlers.
    pub errors: u64,
    /// Every counter by its name, those above among them.
    #[serde(serialize_with = "map")]
    pub counters: Vec<Count>,
}

/// A counter: its name, its value.
pub type Count = (&'static str, u64);

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Reloads of the configuration so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReloadStatus {
    /// Whether there is anything to reload.
    pub is_possible: bool,
    /// How many changed something, or found nothing to change.
    pub succeeded: u64,
    /// How many changed nothing because something was wrong.
    pub failed: u64,
    /// What came of the last one, in one line.
    pub last: Option<String>,
    /// Whether the last one succeeded.
    pub last_succeeded: Option<bool>,
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

/// Pairs as an object, in their order.
fn map<V: Serialize, S: Serializer>(pairs: &[(&'static str, V)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}
