//! The peers of one datagram socket: how many, of which source, and who goes when there are too many.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use swapwire_core::Addr;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::Limits;
use crate::peer_wire::{Account, Waiting};
use crate::source::{Shares, Source, Taken};

/// One peer with its session.
pub(crate) struct Peer {
    number: u64,
    /// It has said something since it was first answered, or cannot be forged, or the handler trusts it.
    proven: bool,
    pub(crate) queue: mpsc::Sender<Waiting>,
    pub(crate) account: Arc<Account>,
    task: AbortHandle,
    _source: Option<Box<Taken>>,
}

/// A place for one more session.
pub(crate) struct Vacancy {
    source: Option<Box<Taken>>,
    /// The session's number.
    pub(crate) number: u64,
}

/// Memory: an entry of about 180 bytes for each session, and one of 120 for each of at most twice the unproven ones. The
/// addresses are hashed with random numbers. Taking one in and finding one take constant time.
pub(crate) struct PeerTable {
    peers: HashMap<Addr, Peer>,
    /// Those that are not proven, the oldest first, among others that have ended or were proven since.
    unproven: VecDeque<(u64, Addr)>,
    unproven_count: usize,
    /// Sessions begun so far: the newest one's number.
    begun: u64,
    sources: Option<Arc<Shares>>,
    /// Whether peers may be forged.
    forgeable: bool,
    most: usize,
    most_unproven: usize,
}

impl PeerTable {
    pub(crate) fn new(limits: &Limits, forgeable: bool) -> Self {
        Self {
            peers: HashMap::new(),
            unproven: VecDeque::new(),
            unproven_count: 0,
            begun: 0,
            sources: limits.max_per_source.map(Shares::new),
            forgeable,
            most: limits.max_peers,
            most_unproven: limits.max_unproven_peers,
        }
    }

    /// The peer at `addr`, which has just said something.
    #[inline]
    pub(crate) fn heard(&mut self, addr: &Addr) -> Option<&Peer> {
        let peer = self.peers.get_mut(addr)?;
        if !peer.proven && (peer.account.answered.load(Relaxed) || peer.account.trusted.load(Relaxed)) {
            peer.proven = true;
            self.unproven_count -= 1;
        }
        Some(peer)
    }

    /// A place for a peer at `addr`. If need be, the oldest session whose peer is not proven ends for it, which is told to
    /// `evicted`. `None`: there is no room, or the peer's source has its share.
    pub(crate) fn vacancy(&mut self, addr: &Addr, evicted: impl FnOnce(&Addr)) -> Option<Vacancy> {
        let source = match (&self.sources, Source::of(addr, 32)) {
            (Some(sources), Some(source)) => Some(sources.take(source)?),
            _ => None,
        };
        let too_many = self.forgeable && self.unproven_count >= self.most_unproven;
        if too_many || self.peers.len() >= self.most {
            if let Some(oldest) = self.evict_oldest() {
                evicted(&oldest);
            } else if self.peers.len() >= self.most {
                return None;
            }
        }
        self.begun += 1;
        Some(Vacancy { source, number: self.begun })
    }

    /// Seats a peer where there was a vacancy.
    pub(crate) fn seat(
        &mut self,
        addr: Addr,
        Vacancy { source, number }: Vacancy,
        queue: mpsc::Sender<Waiting>,
        account: Arc<Account>,
        task: AbortHandle,
    ) {
        let proven = !self.forgeable;
        let peer = Peer { number, proven, queue, account, task, _source: source };
        if let Some(before) = self.peers.insert(addr, peer) {
            self.unproven_count -= usize::from(!before.proven);
        }
        if !proven {
            self.unproven_count += 1;
            self.tidy_up();
            self.unproven.push_back((number, addr));
        }
    }

    /// The session `number` of the peer at `addr` has ended.
    pub(crate) fn leave(&mut self, addr: Addr, number: u64) {
        if let Entry::Occupied(entry) = self.peers.entry(addr)
            && entry.get().number == number
        {
            self.unproven_count -= usize::from(!entry.remove().proven);
        }
    }

    /// Ends the oldest session whose peer is not proven; whose that was.
    fn evict_oldest(&mut self) -> Option<Addr> {
        while let Some((number, addr)) = self.unproven.pop_front() {
            let Entry::Occupied(mut entry) = self.peers.entry(addr) else { continue };
            if entry.get().number != number || entry.get().proven {
                continue;
            }
            self.unproven_count -= 1;
            if entry.get().account.trusted.load(Relaxed) {
                entry.get_mut().proven = true;
                continue;
            }
            entry.remove().task.abort();
            return Some(addr);
        }
        None
    }

    /// Forgets those in the row that have ended or were proven, once they are the more: each is moved once for each that
    /// was added.
    fn tidy_up(&mut self) {
        if self.unproven.len() >= 2 * self.unproven_count + 64 {
            let peers = &self.peers;
            let waits = |peer: &Peer, number| peer.number == number && !peer.proven;
            self.unproven.retain(|(number, addr)| peers.get(addr).is_some_and(|peer| waits(peer, *number)));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    use crate::peer_wire::Budget;

    struct Guests {
        table: PeerTable,
        evicted: usize,
    }

    impl Guests {
        fn new(most: usize, most_unproven: usize, per_source: Option<usize>, forgeable: bool) -> Self {
            let limits = Limits {
                max_peers: most,
                max_unproven_peers: most_unproven,
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
            let Some(vacancy) = self.table.vacancy(&addr, |_| self.evicted += 1) else { return false };
            let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
            self.table.seat(addr, vacancy, mpsc::channel(1).0, Account::new(&Budget::new(1)), task);
            true
        }

        fn has(&self, source: u8, i: u32) -> Option<&Peer> {
            self.table.peers.get(&Addr::inet(format!("192.0.{source}.1:{}", i + 1).parse().unwrap()))
        }

        fn answer(&self, source: u8, i: u32) {
            self.has(source, i).unwrap().account.answered.store(true, Relaxed);
        }
    }

    #[tokio::test]
    async fn the_oldest_that_are_not_proven_go_and_no_others() {
        let mut guests = Guests::new(1000, 10, None, true);
        for i in 0..100 {
            assert!(guests.hear(1, i));
            guests.answer(1, i);
            assert!(guests.hear(1, i), "said something again");
        }
        for i in 0..60_000 {
            assert!(guests.hear(2, i));
        }
        assert!((0..100).all(|i| guests.has(1, i).is_some()));
        assert!((59_990..60_000).all(|i| guests.has(2, i).is_some()) && guests.has(2, 59_989).is_none());
        assert_eq!((guests.table.peers.len(), guests.evicted), (110, 59_990));
        assert!(guests.table.unproven.len() <= 2 * 10 + 64);
    }

    #[tokio::test]
    async fn a_trusted_peer_stays_and_an_answered_one_does_not() {
        let mut guests = Guests::new(1000, 2, None, true);
        guests.hear(1, 1);
        guests.has(1, 1).unwrap().account.trusted.store(true, Relaxed);
        guests.hear(1, 2);
        guests.answer(1, 2);
        guests.hear(1, 3);
        assert_eq!((guests.has(1, 1).is_some(), guests.has(1, 2).is_some(), guests.evicted), (true, false, 1));
    }

    #[tokio::test]
    async fn when_all_are_proven_the_next_finds_no_room() {
        let mut guests = Guests::new(3, 3, None, false);
        assert!((0..3).all(|i| guests.hear(1, i)) && !guests.hear(1, 3));
        let number = guests.has(1, 1).unwrap().number;
        let addr = Addr::inet("192.0.1.1:2".parse().unwrap());
        guests.table.leave(addr, number + 9);
        assert!(!guests.hear(1, 3));
        guests.table.leave(addr, number);
        assert!(guests.hear(1, 3) && guests.evicted == 0);
    }

    #[tokio::test]
    async fn a_source_has_its_share_of_sessions() {
        let mut guests = Guests::new(100, 100, Some(2), true);
        assert!(guests.hear(1, 1) && guests.hear(1, 2) && !guests.hear(1, 3));
        assert!(guests.hear(2, 1) && guests.hear(1, 1));
        let number = guests.has(1, 1).unwrap().number;
        guests.table.leave(Addr::inet("192.0.1.1:2".parse().unwrap()), number);
        assert!(guests.hear(1, 3) && guests.evicted == 0);
    }

    #[tokio::test]
    async fn who_comes_and_goes_leaves_nothing_behind() {
        let mut guests = Guests::new(100, 100, Some(1), true);
        for i in 0..10_000 {
            assert!(guests.hear(1, i));
            let number = guests.has(1, i).unwrap().number;
            guests.table.leave(Addr::inet(format!("192.0.1.1:{}", i + 1).parse().unwrap()), number);
        }
        assert_eq!((guests.table.peers.len(), guests.table.unproven_count), (0, 0));
        assert!(guests.table.unproven.len() <= 64);
    }
}
