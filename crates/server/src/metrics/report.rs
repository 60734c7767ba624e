//! What a server did, in numbers and in words.

use std::fmt;
use std::io;
use std::time::Duration;

use swapwire_core::Endpoint;

use super::numbers::{Counter, Snapshot};

/// The first counters, sessions and messages, are reported also where they are 0.
const TOTALS: usize = 2;

/// What a server did, and how its drain went.
#[derive(Debug)]
#[non_exhaustive]
pub struct DrainReport {
    /// The counters at the end.
    pub stats: Snapshot,
    /// Sessions and calls that were still running at the deadline and were cut; of datagram sockets also datagrams that were
    /// received and not handled, replies that were not sent, and a wait for the last arrival or for word of the last reply.
    pub cut: u64,
    /// Of which endpoints those were, and how many of each; as far as their loops could still tell.
    pub cut_at: Vec<(Endpoint, u64)>,
    /// How long the drain took.
    pub drain: Duration,
    /// Endpoints that had failed before the drain, with the error.
    pub failed: Vec<(Endpoint, io::Error)>,
}

impl DrainReport {
    /// Whether nothing was cut and no endpoint had failed.
    pub fn is_clean(&self) -> bool {
        self.cut == 0 && self.failed.is_empty()
    }
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drained in {:.1} s: ", self.drain.as_secs_f64())?;
        let mut counters = self.stats.iter().filter(Counter::is_reported);
        for total in counters.by_ref().take(TOTALS) {
            write!(f, "{total}, ")?;
        }
        write!(f, "{} cut at the deadline", self.cut)?;
        for counter in counters.filter(|counter| counter.value > 0) {
            write!(f, ", {counter}")?;
        }
        for (endpoint, count) in &self.cut_at {
            write!(f, "; {count} cut at {endpoint}")?;
        }
        for (endpoint, error) in &self.failed {
            write!(f, "; {endpoint} failed: {error}")?;
        }
        Ok(())
    }
}
