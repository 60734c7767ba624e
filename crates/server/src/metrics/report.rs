//! What a server did, in numbers and in words.

use std::fmt;
use std::io;
use std::time::Duration;

use swapwire_core::Endpoint;

use super::counters::Snapshot;

/// What a server did, and how its drain went.
#[derive(Debug)]
#[non_exhaustive]
pub struct DrainReport {
    /// The counters at the end.
    pub stats: Snapshot,
    /// Sessions and calls that were still running at the deadline and were cut; of datagram sockets also datagrams that were
    /// received and not handled, and replies that were not sent.
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

/// A number with its noun: one, or several.
struct Count(u64, &'static str, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, one, several) = self;
        write!(f, "{count} {}", if *count == 1 { one } else { several })
    }
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = &self.stats;
        write!(
            f,
            "drained in {:.1} s: {}, {}, {} cut at the deadline",
            self.drain.as_secs_f64(),
            Count(stats.sessions, "session", "sessions"),
            Count(stats.messages, "message", "messages"),
            self.cut
        )?;
        for count in [
            Count(stats.idle_timeouts, "session was idle for too long", "sessions were idle for too long"),
            Count(stats.frame_timeouts, "frame took too long to arrive", "frames took too long to arrive"),
            Count(stats.write_timeouts, "peer did not read", "peers did not read"),
            Count(
                stats.over_budget,
                "connection was closed for the memory budget",
                "connections were closed for the memory budget",
            ),
            Count(stats.handshakes_failed, "handshake failed", "handshakes failed"),
            Count(stats.broken, "connection broke", "connections broke"),
            Count(stats.bad_frames, "session had a bad frame", "sessions had bad frames"),
            Count(stats.handler_errors, "handler error", "handler errors"),
            Count(stats.panics, "handler panicked", "handlers panicked"),
            Count(stats.accept_errors, "accept failed", "accepts failed"),
            Count(stats.refused, "connection was refused", "connections were refused"),
            Count(stats.truncated, "datagram was truncated", "datagrams were truncated"),
            Count(
                stats.with_descriptors,
                "datagram came with descriptors, which were closed",
                "datagrams came with descriptors, which were closed",
            ),
            Count(stats.dropped_requests, "message was dropped", "messages were dropped"),
            Count(stats.throttled, "datagram was throttled", "datagrams were throttled"),
            Count(stats.overflows, "datagram was dropped by the system", "datagrams were dropped by the system"),
            Count(
                stats.evicted,
                "session was ended to make room for another",
                "sessions were ended to make room for others",
            ),
            Count(
                stats.dropped_replies,
                "reply was dropped, as its peer did not take it",
                "replies were dropped, as their peers did not take them",
            ),
            Count(stats.withheld_replies, "reply was withheld", "replies were withheld"),
            Count(stats.failed_replies, "reply was not sent", "replies were not sent"),
            Count(stats.peer_noise, "network error came from peers", "network errors came from peers"),
            Count(stats.held_up, "time a thread was blocked", "times a thread was blocked"),
            Count(stats.stalls, "stall of receiving", "stalls of receiving"),
        ] {
            if count.0 > 0 {
                write!(f, ", {count}")?;
            }
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
