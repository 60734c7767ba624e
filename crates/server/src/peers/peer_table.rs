//! The peers of one datagram socket: how many, of which source, and which session ends when there are too many.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use swapwire_core::Addr;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::peer_wire::{PeerState, QueuedMessage};
use crate::Limits;
use crate::limits::{Source, SourcePermit, SourceQuota};

/// One peer with its session.
pub(crate) struct Peer {
    number: u64,
    /// It has said something since it was first answered, or cannot be forged, or the handler trusts it.
    validated: bool,
    pub(crate) queue: mpsc::Sender<QueuedMessage>,
    pub(crate) state: Arc<PeerState>,
    task: AbortHandle,
    _source: Option<Box<SourcePermit>>,
}

/// A place for one more session.
pub(crate) struct PeerSlot {
    source: Option<Box<SourcePermit>>,
    /// The session's number.
    pub(crate) number: u64,
}

/// Memory: an entry of about 180 bytes for each session, and one of 120 for each of at most twice the unvalidated ones. The
/// addresses are hashed with random numbers. Taking one in and finding one take constant time.
pub(crate) struct PeerTable {
    peers: HashMap<Addr, Peer>,
    /// Those that are not validated, the oldest first, among others that have ended or were validated since.
    unvalidated: VecDeque<(u64, Addr)>,
    unvalidated_count: usize,
    /// Sessions begun so far: the newest one's number.
    begun: u64,
    sources: Option<Arc<SourceQuota>>,
    /// Whether peers may be forged.
    forgeable: bool,
    most: usize,
    most_unvalidated: usize,
}

impl PeerTable {
    pub(crate) fn new(limits: &Limits, forgeable: bool) -> Self {
        Self {
            peers: HashMap::new(),
            unvalidated: VecDeque::new(),
            unvalidated_count: 0,
            begun: 0,
            sources: limits.max_per_source.map(SourceQuota::new),
            forgeable,
            most: limits.max_peers,
            most_unvalidated: limits.max_unvalidated_peers,
        }
    }

    /// From now on it has the bounds of other limits; the peers that it has stay.
    pub(crate) fn set_limits(&mut self, limits: &Limits) {
        self.sources = limits.max_per_source.map(SourceQuota::new);
        (self.most, self.most_unvalidated) = (limits.max_peers, limits.max_unvalidated_peers);
    }

    /// The peer at `addr`, which has just said something.
    #[inline]
    pub(crate) fn heard(&mut self, addr: &Addr) -> Option<&Peer> {
        let peer = self.peers.get_mut(addr)?;
        if !peer.validated && (peer.state.answered.load(Relaxed) || peer.state.trusted.load(Relaxed)) {
            peer.validated = true;
            self.unvalidated_count -= 1;
        }
        Some(peer)
    }

    /// A place for a peer at `addr`. If need be, the oldest session whose peer is not validated ends for it, which is told to
    /// `evicted`. `None`: there is no room, or the peer's source has its share.
    pub(crate) fn slot(&mut self, addr: &Addr, evicted: impl FnOnce(&Addr)) -> Option<PeerSlot> {
        let source = match (&self.sources, Source::of(addr, 32)) {
            (Some(sources), Some(source)) => Some(sources.take(source)?),
            _ => None,
        };
        let too_many = self.forgeable && self.unvalidated_count >= self.most_unvalidated;
        if too_many || self.peers.len() >= self.most {
            if let Some(oldest) = self.evict_oldest() {
                evicted(&oldest);
            } else if self.peers.len() >= self.most {
                return None;
            }
        }
        self.begun += 1;
        Some(PeerSlot { source, number: self.begun })
    }

    /// Seats a peer where there was a vacancy.
    pub(crate) fn insert(
        &mut self,
        addr: Addr,
        PeerSlot { source, number }: PeerSlot,
        queue: mpsc::Sender<QueuedMessage>,
        state: Arc<PeerState>,
        task: AbortHandle,
    ) {
        let validated = !self.forgeable;
        let peer = Peer { number, validated, queue, state, task, _source: source };
        if let Some(before) = self.peers.insert(addr, peer) {
            self.unvalidated_count -= usize::from(!before.validated);
        }
        if !validated {
            self.unvalidated_count += 1;
            self.tidy_up();
            self.unvalidated.push_back((number, addr));
        }
    }

    /// The session `number` of the peer at `addr` has ended.
    pub(crate) fn leave(&mut self, addr: Addr, number: u64) {
        if let Entry::Occupied(entry) = self.peers.entry(addr)
            && entry.get().number == number
        {
            self.unvalidated_count -= usize::from(!entry.remove().validated);
        }
    }

    /// Ends the oldest session whose peer is not validated; whose that was.
    fn evict_oldest(&mut self) -> Option<Addr> {
        while let Some((number, addr)) = self.unvalidated.pop_front() {
            let Entry::Occupied(mut entry) = self.peers.entry(addr) else { continue };
            if entry.get().number != number || entry.get().validated {
                continue;
            }
            self.unvalidated_count -= 1;
            if entry.get().state.trusted.load(Relaxed) {
                entry.get_mut().validated = true;
                continue;
            }
            entry.remove().task.abort();
            return Some(addr);
        }
        None
    }

    /// Forgets those in the row that have ended or were validated, once they are the more: each is moved once for each that
    /// was added.
    fn tidy_up(&mut self) {
        if self.unvalidated.len() >= 2 * self.unvalidated_count + 64 {
            let peers = &self.peers;
            let waits = |peer: &Peer, number| peer.number == number && !peer.validated;
            self.unvalidated.retain(|(number, addr)| peers.get(addr).is_some_and(|peer| waits(peer, *number)));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    use crate::peers::peer_wire::QueueBudget;

    struct Fixture {
        table: PeerTable,
        evicted: usize,
    }

    impl Fixture {
        fn new(most: usize, most_unvalidated: usize, per_source: Option<usize>, forgeable: bool) -> Self {
            let limits = Limits {
                max_peers: most,
                max_unvalidated_peers: most_unvalidated,
                max_per_source: per_source,
                ..Limits::default()
            };
            Self { table: PeerTable::new(&limits, forgeable), evicted: 0 }
        }

        /// A datagram from peer `i` of a source; whether it has a session now.
        fn hear(&mut self, source: u8, i: u32) -> bool {
            let addr = Addr::inet(format!("192.0.{source}.1:{}", i + 1).parse().unwrap());
            if self.table.heard(&addr).is_some() {
                return true;
            }
            let Some(slot) = self.table.slot(&addr, |_| self.evicted += 1) else { return false };
            let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
            self.table.insert(addr, slot, mpsc::channel(1).0, PeerState::new(&QueueBudget::new(1)), task);
            true
        }

        fn has(&self, source: u8, i: u32) -> Option<&Peer> {
            self.table.peers.get(&Addr::inet(format!("192.0.{source}.1:{}", i + 1).parse().unwrap()))
        }

        fn answer(&self, source: u8, i: u32) {
            self.has(source, i).unwrap().state.answered.store(true, Relaxed);
        }
    }

    #[tokio::test]
    async fn the_oldest_that_are_not_validated_go_and_no_others() {
        let mut peers = Fixture::new(1000, 10, None, true);
        for i in 0..100 {
            assert!(peers.hear(1, i));
            peers.answer(1, i);
            assert!(peers.hear(1, i), "said something again");
        }
        for i in 0..60_000 {
            assert!(peers.hear(2, i));
        }
        assert!((0..100).all(|i| peers.has(1, i).is_some()));
        assert!((59_990..60_000).all(|i| peers.has(2, i).is_some()) && peers.has(2, 59_989).is_none());
        assert_eq!((peers.table.peers.len(), peers.evicted), (110, 59_990));
        assert!(peers.table.unvalidated.len() <= 2 * 10 + 64);
    }

    #[tokio::test]
    async fn a_trusted_peer_stays_and_an_answered_one_does_not() {
        let mut peers = Fixture::new(1000, 2, None, true);
        peers.hear(1, 1);
        peers.has(1, 1).unwrap().state.trusted.store(true, Relaxed);
        peers.hear(1, 2);
        peers.answer(1, 2);
        peers.hear(1, 3);
        assert_eq!((peers.has(1, 1).is_some(), peers.has(1, 2).is_some(), peers.evicted), (true, false, 1));
    }

    #[tokio::test]
    async fn when_all_are_validated_the_next_finds_no_room() {
        let mut peers = Fixture::new(3, 3, None, false);
        assert!((0..3).all(|i| peers.hear(1, i)) && !peers.hear(1, 3));
        let number = peers.has(1, 1).unwrap().number;
        let addr = Addr::inet("192.0.1.1:2".parse().unwrap());
        peers.table.leave(addr, number + 9);
        assert!(!peers.hear(1, 3));
        peers.table.leave(addr, number);
        assert!(peers.hear(1, 3) && peers.evicted == 0);
    }

    #[tokio::test]
    async fn a_source_has_its_share_of_sessions() {
        let mut peers = Fixture::new(100, 100, Some(2), true);
        assert!(peers.hear(1, 1) && peers.hear(1, 2) && !peers.hear(1, 3));
        assert!(peers.hear(2, 1) && peers.hear(1, 1));
        let number = peers.has(1, 1).unwrap().number;
        peers.table.leave(Addr::inet("192.0.1.1:2".parse().unwrap()), number);
        assert!(peers.hear(1, 3) && peers.evicted == 0);
    }

    #[tokio::test]
    async fn who_comes_and_goes_leaves_nothing_behind() {
        let mut peers = Fixture::new(100, 100, Some(1), true);
        for i in 0..10_000 {
            assert!(peers.hear(1, i));
            let number = peers.has(1, i).unwrap().number;
            peers.table.leave(Addr::inet(format!("192.0.1.1:{}", i + 1).parse().unwrap()), number);
        }
        assert_eq!((peers.table.peers.len(), peers.table.unvalidated_count), (0, 0));
        assert!(peers.table.unvalidated.len() <= 64);
    }
}
