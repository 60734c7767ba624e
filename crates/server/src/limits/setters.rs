//! One setter for each limit, so that they chain. The docs of each field give its meaning and bounds.

use std::time::Duration;

use crate::{Limits, WhenFull};

impl Limits {
    /// The same limits with another [`max_connections`](field@Self::max_connections).
    #[must_use]
    pub fn max_connections(mut self, value: usize) -> Self {
        self.max_connections = value;
        self
    }

    /// The same limits with another [`when_full`](field@Self::when_full).
    #[must_use]
    pub fn when_full(mut self, value: WhenFull) -> Self {
        self.when_full = value;
        self
    }

    /// The same limits with another [`max_per_source`](field@Self::max_per_source); `None` switches it off.
    #[must_use]
    pub fn max_per_source(mut self, value: impl Into<Option<usize>>) -> Self {
        self.max_per_source = value.into();
        self
    }

    /// The same limits with another [`max_handshakes`](field@Self::max_handshakes).
    #[must_use]
    pub fn max_handshakes(mut self, value: usize) -> Self {
        self.max_handshakes = value;
        self
    }

    /// The same limits with another [`max_message`](field@Self::max_message).
    #[must_use]
    pub fn max_message(mut self, value: usize) -> Self {
        self.max_message = value;
        self
    }

    /// The same limits with another [`max_reply`](field@Self::max_reply).
    #[must_use]
    pub fn max_reply(mut self, value: usize) -> Self {
        self.max_reply = value;
        self
    }

    /// The same limits with another [`out_queue`](field@Self::out_queue).
    #[must_use]
    pub fn out_queue(mut self, value: usize) -> Self {
        self.out_queue = value;
        self
    }

    /// The same limits with another [`frame_timeout`](field@Self::frame_timeout); `None` switches it off.
    #[must_use]
    pub fn frame_timeout(mut self, value: impl Into<Option<Duration>>) -> Self {
        self.frame_timeout = value.into();
        self
    }

    /// The same limits with another [`write_timeout`](field@Self::write_timeout); `None` switches it off.
    #[must_use]
    pub fn write_timeout(mut self, value: impl Into<Option<Duration>>) -> Self {
        self.write_timeout = value.into();
        self
    }

    /// The same limits with another [`idle_timeout`](field@Self::idle_timeout); `None` switches it off.
    #[must_use]
    pub fn idle_timeout(mut self, value: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = value.into();
        self
    }

    /// The same limits with another [`handshake_timeout`](field@Self::handshake_timeout); `None` switches it off.
    #[must_use]
    pub fn handshake_timeout(mut self, value: impl Into<Option<Duration>>) -> Self {
        self.handshake_timeout = value.into();
        self
    }

    /// The same limits with another [`drain_timeout`](field@Self::drain_timeout).
    #[must_use]
    pub fn drain_timeout(mut self, value: Duration) -> Self {
        self.drain_timeout = value;
        self
    }

    /// The same limits with another [`drain_grace`](field@Self::drain_grace).
    #[must_use]
    pub fn drain_grace(mut self, value: Duration) -> Self {
        self.drain_grace = value;
        self
    }

    /// The same limits with another [`max_peers`](field@Self::max_peers).
    #[must_use]
    pub fn max_peers(mut self, value: usize) -> Self {
        self.max_peers = value;
        self
    }

    /// The same limits with another [`max_unvalidated_peers`](field@Self::max_unvalidated_peers).
    #[must_use]
    pub fn max_unvalidated_peers(mut self, value: usize) -> Self {
        self.max_unvalidated_peers = value;
        self
    }

    /// The same limits with another [`peer_queue`](field@Self::peer_queue).
    #[must_use]
    pub fn peer_queue(mut self, value: usize) -> Self {
        self.peer_queue = value;
        self
    }

    /// The same limits with another [`peer_bytes`](field@Self::peer_bytes).
    #[must_use]
    pub fn peer_bytes(mut self, value: usize) -> Self {
        self.peer_bytes = value;
        self
    }

    /// The same limits with another [`source_rate`](field@Self::source_rate); `None` switches it off.
    #[must_use]
    pub fn source_rate(mut self, value: impl Into<Option<u32>>) -> Self {
        self.source_rate = value.into();
        self
    }

    /// The same limits with another [`memory_budget`](field@Self::memory_budget); `None` switches it off.
    #[must_use]
    pub fn memory_budget(mut self, value: impl Into<Option<usize>>) -> Self {
        self.memory_budget = value.into();
        self
    }

    /// The same limits with another [`max_waiting`](field@Self::max_waiting).
    #[must_use]
    pub fn max_waiting(mut self, value: usize) -> Self {
        self.max_waiting = value;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_setter_of_its_own() {
        let set = Limits::default()
            .max_connections(1)
            .when_full(WhenFull::Refuse("2".into()))
            .max_per_source(3)
            .max_handshakes(4)
            .max_message(5)
            .max_reply(6)
            .out_queue(7)
            .frame_timeout(Duration::from_secs(8))
            .write_timeout(Duration::from_secs(9))
            .idle_timeout(Duration::from_secs(10))
            .handshake_timeout(Duration::from_secs(11))
            .drain_timeout(Duration::from_secs(12))
            .drain_grace(Duration::from_secs(13))
            .max_peers(14)
            .max_unvalidated_peers(15)
            .peer_queue(16)
            .peer_bytes(17)
            .source_rate(18)
            .memory_budget(19)
            .max_waiting(20);
        // Without `..`: a field that is new is missing here.
        let expected = Limits {
            max_connections: 1,
            when_full: WhenFull::Refuse("2".into()),
            max_per_source: Some(3),
            max_handshakes: 4,
            max_message: 5,
            max_reply: 6,
            out_queue: 7,
            frame_timeout: Some(Duration::from_secs(8)),
            write_timeout: Some(Duration::from_secs(9)),
            idle_timeout: Some(Duration::from_secs(10)),
            handshake_timeout: Some(Duration::from_secs(11)),
            drain_timeout: Duration::from_secs(12),
            drain_grace: Duration::from_secs(13),
            max_peers: 14,
            max_unvalidated_peers: 15,
            peer_queue: 16,
            peer_bytes: 17,
            source_rate: Some(18),
            memory_budget: Some(19),
            max_waiting: 20,
        };
        assert_eq!(set, expected);
    }

    #[test]
    fn the_page_of_limits_names_every_field() {
        let page = include_str!("../../../../docs/limits.md");
        let text = format!("{:#?}", Limits::default());
        let fields: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": ")).collect();
        assert_eq!(fields.len(), 20, "{text}");
        for (field, _) in fields {
            assert!(page.lines().any(|line| line.starts_with(&format!("| `{field}` |"))), "{field}");
        }
    }
}
