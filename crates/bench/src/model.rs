//! What a run found out, as it is written to JSON.
//!
//! Units are in the names: `_s` seconds, `_ns` nanoseconds, `_per_s` per second; bytes are payload, without framing and
//! headers. What a name does not say is said here, and `docs/bench-json.md` says it for people without the source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Spectrum;

/// The version of the schema; it grows when a reader of the old one would be misled.
pub const SCHEMA: u32 = 1;

/// One run of `swapwire bench`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The program and its version.
    pub tool: String,
    /// When it began, in seconds since 1970-01-01 UTC.
    pub started_unix_s: u64,
    /// How long all of it took.
    pub elapsed_s: f64,
    /// How the run was asked for: a command and its arguments; empty if not by one.
    #[serde(default)]
    pub command: Vec<String>,
    /// Where the generator ran.
    pub machine: Machine,
    /// What was asked for.
    pub settings: Settings,
    /// Who was measured.
    pub targets: Vec<TargetInfo>,
    /// Each target under each load.
    pub cells: Vec<Cell>,
    /// Targets compared with the first one, under each load.
    #[serde(default)]
    pub ratios: Vec<Ratio>,
    /// Results of searches for the highest rate.
    #[serde(default)]
    pub found: Vec<Found>,
    /// What makes a number doubtful, a line each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why something is missing, a line each; empty when the run is whole.
    #[serde(default)]
    pub partial: Vec<String>,
    /// The findings in plain sentences.
    #[serde(default)]
    pub conclusion: Vec<String>,
}

/// The machine of the generator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system and its version.
    pub os: String,
    /// The processor's name, where the system tells it.
    pub cpu: String,
    /// Processors that this process may use.
    pub cpus: usize,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Rounds asked for.
    pub rounds: usize,
    /// The measured part of a round, if its end is a time.
    pub duration_s: Option<f64>,
    /// The measured part of a round, if its end is a number of requests.
    pub requests: Option<u64>,
    /// Before the measured part, under full load.
    pub warmup_s: f64,
    /// Over which the connections are opened.
    pub ramp_s: f64,
    /// A request without a reply for so long is lost; `None`: a second where the wire may lose messages, else five.
    pub timeout_s: Option<f64>,
    /// Replies after which a connection is opened anew.
    pub reconnect_every: Option<u64>,
    /// How byte streams are cut into messages.
    pub framing: String,
    /// What every request holds, with escapes, or `file:PATH`; `None`: letters and digits.
    #[serde(default)]
    pub message: Option<String>,
    /// What counts as a right reply.
    pub expect: String,
    /// The handler, where the run started the server itself.
    #[serde(default)]
    pub handler: Option<String>,
    /// Threads of the generator.
    pub threads: usize,
    /// Processors that the generator's threads are bound to; empty: any.
    pub pin: Vec<usize>,
    /// Whether the generator polls instead of sleeping.
    pub spin: bool,
    /// Addresses that connections come from, in turn; empty: the system chooses.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Where its random numbers begin.
    pub seed: u64,
}

/// Who was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// Short and unique within the run: the scheme, or the endpoint where two share a scheme.
    pub name: String,
    /// As connected to.
    pub endpoint: String,
    /// `elsewhere`, `process` (its CPU and memory are known) or `same-process` (they are known together with the
    /// generator's).
    pub server: String,
    /// The shape of its wire: `byte stream`, `message stream` or `datagram`; empty in files of earlier versions.
    #[serde(default)]
    pub wire: String,
    /// Whether its wire may lose, repeat and reorder messages.
    pub datagrams: bool,
}

/// One target under one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Index into [`Run::targets`].
    pub target: usize,
    /// The load.
    pub load: LoadInfo,
    /// As measured; fewer than asked for if the run is partial.
    pub rounds: Vec<Round>,
    /// Over all rounds; `None` if there are none.
    #[serde(default)]
    pub summary: Option<Summary>,
}

/// A load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadInfo {
    /// Bytes of a request: `64`, `64..1024` or `file:PATH`.
    pub size: String,
    /// Connections, or peers on a datagram socket.
    pub connections: usize,
    /// Requests under way on each connection, at most.
    pub pipeline: usize,
    /// Requests per second on all connections together; `None`: a closed loop.
    pub rate_per_s: Option<f64>,
}

/// One measured round.
///
/// `requests`, `answered`, `latency`, `first_reply` and the `faults` are about requests *begun* (in an open loop: due) in
/// the measured part; their replies are waited for beyond its end. `messages` and the bytes are about what *arrived* or left
/// within it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// When its measured part began, since the run's beginning.
    pub at_s: f64,
    /// How long the measured part was.
    pub elapsed_s: f64,
    /// Requests begun; in an open loop: due.
    pub requests: u64,
    /// Requests that were begun before, as a warm-up; nothing else in a round is about them.
    #[serde(default)]
    pub warmup_requests: u64,
    /// Of `requests`, answered rightly and in time.
    pub answered: u64,
    /// Right replies that arrived; throughput is this over `elapsed_s`.
    pub messages: u64,
    /// Payload of the requests sent.
    pub bytes_sent: u64,
    /// Payload of the right replies.
    pub bytes_received: u64,
    /// From request to whole reply, but for the first request of each connection.
    pub latency: Spectrum,
    /// The same for the first request of each connection.
    pub first_reply: Spectrum,
    /// Opening a connection, before and during the measured part.
    pub connect: Spectrum,
    /// How late the generator itself was: from the intended time to handing the request over, where neither the wire nor
    /// the bound on requests under way was in the way. Open loop alone.
    pub lag: Spectrum,
    /// Right replies in each `timeline_step_s` of the measured part.
    pub timeline: Vec<u64>,
    /// The step of `timeline`.
    pub timeline_step_s: f64,
    /// What went wrong.
    pub faults: Faults,
    /// Connections opened anew within the measured part.
    pub reconnects: u64,
    /// The generator's threads.
    pub client: Usage,
    /// The server, where it can be seen.
    pub server: Option<Usage>,
    /// CPU time of a fixed piece of work (64 bytes through a socket pair and back), measured every 10 ms of the measured part
    /// on whatever processor was free, in nanoseconds: how fast the machine was. 0 where it is not known.
    pub yardstick_ns: f64,
}

/// What went wrong with requests of the measured part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// Replies that were not what they should be.
    pub wrong: u64,
    /// Requests without a reply within the timeout.
    pub lost: u64,
    /// Of those, answered later, before the round ended.
    pub late: u64,
    /// Replies to what had been answered before; `None` where it cannot be seen.
    pub duplicated: Option<u64>,
    /// Replies that came after the reply to a later request of the same connection; `None` where it cannot be seen.
    pub reordered: Option<u64>,
    /// Requests that were due and never sent, since the wire or the bound on requests under way was in the way.
    pub unsent: u64,
    /// Requests under way on a connection that broke.
    pub broken: u64,
    /// Datagrams that the system dropped before the generator's sockets received them, over the whole round: their receive
    /// buffers were full. A train that left as one (`udp(7)`, `UDP_SEGMENT`) counts as one. `None` where it does not tell.
    pub client_drops: Option<u64>,
    /// The same of the server's UDP sockets; `None` where they cannot be seen.
    pub server_drops: Option<u64>,
    /// Errors by kind, as `connect: connection refused`.
    pub errors: BTreeMap<String, u64>,
}

/// What a side used in the measured part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu_s: f64,
    /// Right replies while that was used; CPU per message is the quotient.
    pub messages: u64,
    /// CPU time over time and threads: 1 is a client whose threads never waited. `None` where the number of threads is not
    /// known.
    pub busy: Option<f64>,
    /// Resident memory at the end of the round, in bytes; `None` where it cannot be seen.
    pub memory: Option<u64>,
}

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
    /// Index into [`Run::targets`].
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
    /// Index into [`Run::targets`].
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
