//! What the proxy did.

use std::cell::Cell;

use crate::report::Report;

/// Counters, of both directions together.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sessions: Cell<u64>,
    /// Sessions for which the server could not be reached.
    pub(super) unreachable: Cell<u64>,
    /// Peers of a datagram socket that had to make way.
    pub(super) forgotten: Cell<u64>,
    pub(super) bytes: Cell<u64>,
    pub(super) slices: Cell<u64>,
    pub(super) datagrams: Cell<u64>,
    pub(super) delayed: Cell<u64>,
    pub(super) stalled: Cell<u64>,
    pub(super) reset: Cell<u64>,
    pub(super) closed: Cell<u64>,
    pub(super) corrupted: Cell<u64>,
    pub(super) dropped: Cell<u64>,
    pub(super) duplicated: Cell<u64>,
    pub(super) reordered: Cell<u64>,
    /// Datagrams for which the queue had no room, and those that the system did not take.
    pub(super) overflowed: Cell<u64>,
    pub(super) unsent: Cell<u64>,
}

pub(super) fn add(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl Counters {
    pub(super) fn report(&self, report: &mut Report) {
        let all = [
            ("sessions", &self.sessions),
            ("unreachable", &self.unreachable),
            ("forgotten", &self.forgotten),
            ("bytes", &self.bytes),
            ("slices", &self.slices),
            ("datagrams", &self.datagrams),
            ("delayed", &self.delayed),
            ("stalled", &self.stalled),
            ("reset", &self.reset),
            ("closed", &self.closed),
            ("corrupted", &self.corrupted),
            ("dropped", &self.dropped),
            ("duplicated", &self.duplicated),
            ("reordered", &self.reordered),
            ("overflowed", &self.overflowed),
            ("unsent", &self.unsent),
        ];
        let words: Vec<_> = all.iter().map(|(name, count)| format!("{name} {}", count.get())).collect();
        report.line(words.join(", "));
        for (name, count) in all {
            report.set(name, count.get());
        }
    }
}
