//! One measured round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Spectrum;

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

/// The kind of [error](Faults::errors) that says that the generator's machine had no local port left.
pub(crate) const OUT_OF_PORTS: &str = "connect: no local port left on the client's machine";
