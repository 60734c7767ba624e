//! The handshakes that are not done: so many for all listeners and all workers of a server.
//!
//! Peers that connect and say nothing would fill whatever bound there is. So at the bound the one that has come least far makes
//! room, and among equals the oldest: those that get on are done before it is their turn.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use crate::sync::{Mutex, MutexGuard};

/// How far it has come, and when it began: the least of these goes first.
type Rank = (u32, u64);

/// What all listeners and all workers of a server share. At most as many entries as handshakes may be under way.
pub(crate) struct Handshakes {
    table: Mutex<Table>,
    most: usize,
}

#[derive(Default)]
struct Table {
    begun: u64,
    /// What wakes each.
    under_way: BTreeMap<Rank, Waker>,
}

/// Held by a handshake that is under way.
#[derive(Debug)]
pub(crate) struct HandshakePermit {
    handshakes: Arc<Handshakes>,
    rank: Rank,
}

impl Handshakes {
    /// `most` at a time.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), most })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One begins, and is woken by `waker` if it has to make room. At the bound another has to.
    pub(crate) fn begin(self: &Arc<Self>, waker: &Waker) -> HandshakePermit {
        let mut table = self.table();
        let evicted = if table.under_way.len() < self.most { None } else { table.under_way.pop_first() };
        table.begun += 1;
        let rank = (0, table.begun);
        table.under_way.insert(rank, waker.clone());
        drop(table);
        if let Some((_, evicted)) = evicted {
            evicted.wake();
        }
        HandshakePermit { handshakes: Arc::clone(self), rank }
    }
}

impl HandshakePermit {
    /// It has come further; whether it may go on.
    pub(crate) fn advance(&mut self, waker: &Waker) -> bool {
        let mut table = self.handshakes.table();
        let Some(before) = table.under_way.remove(&self.rank) else { return false };
        self.rank.0 = self.rank.0.saturating_add(1);
        table.under_way.insert(self.rank, if before.will_wake(waker) { before } else { waker.clone() });
        true
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        let waker = self.handshakes.table().under_way.remove(&self.rank);
        drop(waker);
    }
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handshakes({} of {})", self.table().under_way.len(), self.most)
    }
}

#[cfg(all(test, not(swapwire_loom)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn who_has_come_least_far_makes_room_and_then_the_oldest() {
        let handshakes = Handshakes::new(3);
        let woken: Vec<_> = (0..5).map(|_| Arc::new(Woken::default())).collect();
        let wakers: Vec<Waker> = woken.iter().map(|woken| Arc::clone(woken).into()).collect();
        let woken = || woken.iter().map(|woken| woken.0.load(Relaxed)).collect::<Vec<_>>();
        let mut permits: Vec<_> = wakers[..3].iter().map(|waker| handshakes.begin(waker)).collect();
        assert!(permits[0].advance(&wakers[0]));
        permits.push(handshakes.begin(&wakers[3]));
        assert_eq!(woken(), [0, 1, 0, 0, 0]);
        permits.push(handshakes.begin(&wakers[4]));
        assert_eq!(woken(), [0, 1, 1, 0, 0]);
        let may_go_on: Vec<_> = permits.iter_mut().zip(&wakers).map(|(permit, waker)| permit.advance(waker)).collect();
        assert_eq!(may_go_on, [true, false, false, true, true]);
        assert_eq!(format!("{handshakes:?}"), "Handshakes(3 of 3)");
        drop(permits);
        assert_eq!(format!("{handshakes:?}"), "Handshakes(0 of 3)");
    }
}
