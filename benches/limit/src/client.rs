//! A closed loop over many connections from one thread.

mod datagrams;
mod dial;
mod streams;

use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;
use serde::Serialize;

use self::datagrams::Datagrams;
use self::streams::Streams;
use crate::mmsg::Trains;
use crate::usage::Usage;
use crate::{SHORTEST, Wire};

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections, or sockets that send datagrams.
    pub connections: usize,
    /// Requests under way on each.
    pub pipeline: usize,
    /// Bytes of a request, at least [`SHORTEST`].
    pub size: usize,
    /// For how long.
    pub duration: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Right replies. A wrong one is an error.
    pub messages: u64,
    /// Without connecting and making ready.
    pub elapsed_s: f64,
    /// CPU time of the client's thread in that time.
    pub cpu_s: f64,
    /// The same for each message.
    pub cpu_ns_per_message: f64,
    /// Outside the kernel, by the system's estimate.
    pub user_s: f64,
    /// Inside it.
    pub system_s: f64,
    /// Half of the replies came within this time.
    pub p50_ns: u64,
    /// 99 of 100 did.
    pub p99_ns: u64,
    /// Returns from waiting.
    pub wakes: u64,
    /// Datagrams without a reply within 200 ms, sent again.
    pub resent: u64,
}

/// Exchanges messages with the server at `wire`.
///
/// # Errors
/// A load that is none, a server that cannot be reached, goes away or answers wrongly.
pub fn run(wire: &Wire, load: Load) -> anyhow::Result<Report> {
    ensure!(load.size >= SHORTEST, "size {}: write at least {SHORTEST}", load.size);
    ensure!(load.connections > 0 && load.pipeline > 0, "connections and pipeline: write at least 1");
    let sockets = (0..load.connections).map(|_| dial::connect(wire)).collect::<anyhow::Result<Vec<_>>>()?;
    match wire {
        Wire::Tcp(_) | Wire::Unix(_) | Wire::Ws(_) => {
            let streams = Streams::new(sockets, load)?;
            streams.run(Meter::start(load.duration)?)
        }
        Wire::Udp(_) | Wire::UnixDgram(_) | Wire::UnixSeq(_) => {
            let trains = if matches!(wire, Wire::Udp(_)) { Trains::Made } else { Trains::None };
            let datagrams = Datagrams::new(sockets, load, trains)?;
            datagrams.run(Meter::start(load.duration)?)
        }
    }
}

/// Times and counts.
struct Meter {
    begun: Instant,
    usage: Usage,
    duration: Duration,
    /// When the loop woke last, in nanoseconds since the beginning: the only time there is.
    now: u64,
    latency: Histogram<u64>,
    wakes: u64,
    resent: u64,
}

impl Meter {
    fn start(duration: Duration) -> anyhow::Result<Self> {
        let latency = Histogram::new_with_bounds(64, 600_000_000_000, 3)?;
        Ok(Self { begun: Instant::now(), usage: Usage::now()?, duration, now: 0, latency, wakes: 0, resent: 0 })
    }

    /// Looks at the clock.
    fn wake(&mut self) {
        self.wakes += 1;
        self.now = self.begun.elapsed().as_nanos() as u64;
    }

    /// Whether the time was up when the loop woke last.
    fn over(&self) -> bool {
        u128::from(self.now) >= self.duration.as_nanos()
    }

    fn answered(&mut self, sent_at: u64) {
        self.latency.saturating_record(self.now - sent_at);
    }

    fn report(self) -> anyhow::Result<Report> {
        let elapsed = self.begun.elapsed();
        let used = self.usage.elapsed()?;
        let messages = self.latency.len();
        Ok(Report {
            messages,
            elapsed_s: elapsed.as_secs_f64(),
            cpu_s: used.cpu.as_secs_f64(),
            cpu_ns_per_message: used.cpu.as_secs_f64() * 1e9 / messages.max(1) as f64,
            user_s: used.user.as_secs_f64(),
            system_s: used.system.as_secs_f64(),
            p50_ns: self.latency.value_at_quantile(0.5),
            p99_ns: self.latency.value_at_quantile(0.99),
            wakes: self.wakes,
            resent: self.resent,
        })
    }
}

/// The longest wait: the end of the run is noticed this late if nothing comes.
const WAIT_MS: u8 = 100;
