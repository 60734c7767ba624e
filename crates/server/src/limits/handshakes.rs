//! The handshakes that are not done: so many for all listeners and all workers of a server.
//!
//! Peers that connect and say nothing would fill whatever bound there is. So at the bound one makes room for the next: the
//! oldest whose peer has said nothing. Those whose peers have said something are kept, but where they hold more than three
//! quarters of the bound: then the oldest of them goes, so that peers that say a little and stop keep nobody out, either.
//! Saying more helps nobody: a peer can send its bytes one by one.
//!
//! A handshake that gets on is so in no danger, unless a quarter of the bound has come behind it before its peer's first bytes
//! have, or three quarters before it is done.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use crate::sync::{Mutex, MutexGuard};

/// What all listeners and all workers of a server share. At most as many entries as handshakes may be under way.
pub(crate) struct Handshakes {
    table: Mutex<Table>,
    most: usize,
}

/// What wakes each, the oldest first.
type ByAge = BTreeMap<u64, Waker>;

#[derive(Default)]
struct Table {
    begun: u64,
    /// Their peers have said nothing.
    silent: ByAge,
    /// Their peers have said something.
    heard: ByAge,
}

/// Held by a handshake that is under way.
#[derive(Debug)]
pub(crate) struct HandshakePermit {
    handshakes: Arc<Handshakes>,
    number: u64,
}

impl Handshakes {
    /// `most` at a time, at least one.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), most: most.max(1) })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One begins, and is woken by `waker` if it has to make room. At the bound another has to.
    pub(crate) fn begin(self: &Arc<Self>, waker: &Waker) -> HandshakePermit {
        let mut table = self.table();
        let evicted = if table.len() < self.most { None } else { table.evict(self.most - self.most.div_ceil(4)) };
        table.begun += 1;
        let number = table.begun;
        table.silent.insert(number, waker.clone());
        drop(table);
        evicted.into_iter().for_each(Waker::wake);
        HandshakePermit { handshakes: Arc::clone(self), number }
    }
}

impl Table {
    fn len(&self) -> usize {
        self.silent.len() + self.heard.len()
    }

    /// Ends one, where those that were heard may be `most_heard` at the bound, and so fewer than all.
    fn evict(&mut self, most_heard: usize) -> Option<Waker> {
        let from = if self.heard.len() > most_heard { &mut self.heard } else { &mut self.silent };
        from.pop_first().map(|(_, waker)| waker)
    }
}

impl HandshakePermit {
    /// It was woken, as its peer has said something, or as it has to end; whether it may go on.
    pub(crate) fn advance(&mut self, waker: &Waker) -> bool {
        let mut table = self.handshakes.table();
        let Table { silent, heard, .. } = &mut *table;
        let Some(known) = silent.remove(&self.number).or_else(|| heard.remove(&self.number)) else { return false };
        heard.insert(self.number, if known.will_wake(waker) { known } else { waker.clone() });
        true
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        let mut table = self.handshakes.table();
        let waker = table.silent.remove(&self.number).or_else(|| table.heard.remove(&self.number));
        drop(table);
        drop(waker);
    }
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handshakes({} of {})", self.table().len(), self.most)
    }
}

#[cfg(all(test, swapwire_loom))]
mod models;
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

    /// Handshakes of one server, each with its waker.
    struct Peers {
        handshakes: Arc<Handshakes>,
        all: Vec<(Arc<Woken>, Option<HandshakePermit>)>,
    }

    impl Peers {
        fn new(most: usize) -> Self {
            Self { handshakes: Handshakes::new(most), all: Vec::new() }
        }

        fn begin(&mut self, count: usize) {
            for _ in 0..count {
                let woken = Arc::new(Woken::default());
                let permit = self.handshakes.begin(&Arc::clone(&woken).into());
                self.all.push((woken, Some(permit)));
            }
        }

        fn say(&mut self, which: impl IntoIterator<Item = usize>) -> Vec<bool> {
            let mut say = |index: usize| {
                let (woken, permit) = &mut self.all[index];
                permit.as_mut().is_some_and(|permit| permit.advance(&Arc::clone(woken).into()))
            };
            which.into_iter().map(&mut say).collect()
        }

        /// Those that have to end.
        fn evicted(&self) -> Vec<usize> {
            let woken = self.all.iter().enumerate().filter(|(_, (woken, _))| woken.0.load(Relaxed) > 0);
            woken.map(|(index, _)| index).collect()
        }
    }

    #[test]
    fn the_oldest_that_has_said_nothing_makes_room() {
        let mut peers = Peers::new(4);
        peers.begin(4);
        assert_eq!(peers.say([0]), [true]);
        peers.begin(2);
        assert_eq!(peers.evicted(), [1, 2]);
        assert_eq!(peers.say([1, 2]), [false, false]);
        assert_eq!(peers.say([0, 3, 4, 5]), [true; 4]);
        // They are more than three quarters now.
        peers.begin(1);
        assert_eq!(peers.evicted(), [0, 1, 2]);
        peers.begin(1);
        assert_eq!(peers.evicted(), [0, 1, 2, 6]);
        assert_eq!(format!("{:?}", peers.handshakes), "Handshakes(4 of 4)");
        peers.all.clear();
        assert_eq!(format!("{:?}", peers.handshakes), "Handshakes(0 of 4)");
    }

    #[test]
    fn one_that_ends_makes_room_and_one_that_made_room_holds_none() {
        let mut peers = Peers::new(2);
        peers.begin(3);
        assert_eq!(peers.evicted(), [0]);
        // It is told, and not gone; its place is the third one's.
        peers.all[0].1 = None;
        assert_eq!(format!("{:?}", peers.handshakes), "Handshakes(2 of 2)");
        peers.all[1].1 = None;
        peers.begin(1);
        assert_eq!(peers.evicted(), [0]);
    }

    /// How many may come behind one before it is ended.
    fn outlasts(peers: &mut Peers, one: usize, says: bool) -> usize {
        let before = peers.all.len();
        while peers.all[one].0.0.load(Relaxed) == 0 {
            peers.begin(1);
            peers.say(says.then_some(peers.all.len() - 1));
        }
        peers.all.len() - before - 1
    }

    #[test]
    fn a_flood_leaves_a_quarter_to_begin_and_three_quarters_to_get_on() {
        // Of those that come again at once, as many have said something as stay.
        let mut peers = Peers::new(2048);
        peers.begin(2048);
        peers.say(0..1536);
        peers.begin(1);
        assert_eq!(outlasts(&mut peers, 2048, false), 511);
        // All of them have.
        let mut peers = Peers::new(2048);
        peers.begin(2048);
        peers.say(0..2048);
        peers.begin(1);
        assert_eq!(peers.say([2048]), [true]);
        assert!(outlasts(&mut peers, 2048, true) >= 1536);
        // One that has said something does not notice those that say nothing.
        let mut peers = Peers::new(2048);
        peers.begin(1);
        peers.say([0]);
        peers.begin(100_000);
        assert_eq!(peers.say([0]), [true]);
    }

    #[test]
    fn a_bound_of_one_is_for_the_newest() {
        let mut peers = Peers::new(1);
        peers.begin(1);
        peers.say([0]);
        peers.begin(1);
        assert_eq!((peers.evicted(), peers.say([1])), (vec![0], vec![true]));
    }
}
