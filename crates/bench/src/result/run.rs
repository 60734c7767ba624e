//! A run: the targets, the settings and the loads.

use serde::{Deserialize, Serialize};

use super::{Found, Ratio, Round, Summary};

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
    /// The servers that were measured.
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

/// A server that was measured.
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
