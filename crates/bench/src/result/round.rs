//! One measured round.

use serde::{Deserialize, Serialize};

use super::{Faults, Spectrum};

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
