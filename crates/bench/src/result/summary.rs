//! What follows from the rounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Faults, LoadInfo, Round, Spectrum};

/// A number with its uncertainty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// The median over the rounds.
    pub median: f64,
    /// Lower end of its 95 % confidence interval; the median itself if there are fewer than three rounds.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The least of the rounds.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// A cell over all its rounds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Right replies per second.
    pub messages_per_s: Value,
    /// Payload bytes per second, both ways together.
    pub bytes_per_s: Value,
    /// Percentiles of the latency in nanoseconds, each over the rounds: keys `p50`, `p90`, `p99`, `p99.9`, `max`.
    /// Where every request was the first of its connection, they are those of first replies.
    pub latency_ns: BTreeMap<String, Value>,
    /// All rounds' latencies together.
    pub latency: Spectrum,
    /// All rounds' first replies together.
    pub first_reply: Spectrum,
    /// All rounds' connects together.
    pub connect: Spectrum,
    /// All rounds' lags together.
    pub lag: Spectrum,
    /// The generator's CPU time per right reply, in nanoseconds.
    pub client_cpu_ns: Option<Value>,
    /// The server's.
    pub server_cpu_ns: Option<Value>,
    /// The most memory the server had, in bytes.
    pub server_memory: Option<u64>,
    /// Requests.
    pub requests: u64,
    /// Right replies in time.
    pub answered: u64,
    /// All rounds' faults together.
    pub faults: Faults,
}

/// A target beside the first one, under the same load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Index into [`Run::targets`](crate::Run::targets).
    pub target: usize,
    /// Index of the other, by which is divided.
    pub over: usize,
    /// The load.
    pub load: LoadInfo,
    /// `messages_per_s`, `p50`, `p99` or `server_cpu_ns`.
    pub metric: String,
    /// Of the rounds' paired ratios.
    pub value: Value,
}

/// The result of a search for the highest rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Index into [`Run::targets`](crate::Run::targets).
    pub target: usize,
    /// The load, with the rate that was found; `None` if not even the lowest rate tried held.
    pub load: LoadInfo,
    /// The objective, as `p99<=5ms`.
    pub slo: String,
    /// Why it is not higher: `objective`, `rate` (the server did not keep up), `errors`, `client` (then the true figure
    /// may be higher) or `stopped`.
    pub limited_by: String,
    /// Every rate that was tried, in order.
    pub probes: Vec<Probe>,
}

/// One rate that a search tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Asked for.
    pub rate_per_s: f64,
    /// Whether the objective held.
    pub held: bool,
    /// Why not; empty if it held.
    pub why: String,
    /// As measured.
    pub round: Round,
}
