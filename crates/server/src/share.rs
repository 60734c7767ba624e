//! Fair shares of one queue: who takes a connection passes it on if it has more than the others.
//!
//! Where all members accept from one queue, whoever the system wakes first takes what is there: of 400 clients that stayed,
//! one or two of four workers got none (measured on two cores). Waiting, so that others may take what comes, would cost
//! time, and a worker that is stuck would make everybody wait; passing on costs one wake-up.

use std::fmt;
use std::sync::Arc;

use crate::room::Arrival;
use crate::sync::{AtomicUsize, Ordering::Relaxed, mpsc};

/// Connections that wait for the member they were passed to. When there are so many, whoever took one serves it.
const INBOX: usize = 64;
/// A member may hold so many more than the one with the fewest, and an eighth of those, before it passes on: as long as
/// nobody is far ahead, a connection is best served where it arrived.
const SLACK: usize = 4;

/// What one member takes from a queue, and gets from the others.
pub(crate) struct Share {
    index: usize,
    members: Arc<[Account]>,
    inbox: mpsc::Receiver<Arrival>,
}

/// A line of memory for each: it changes with every connection.
#[repr(align(128))]
struct Account {
    held: AtomicUsize,
    inbox: mpsc::Sender<Arrival>,
}

/// A connection of a member's share, until it is dropped.
pub(crate) struct Held {
    members: Arc<[Account]>,
    index: usize,
}

pub(crate) fn shares(count: usize) -> Vec<Share> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(INBOX)).unzip();
    let members: Arc<[Account]> =
        senders.into_iter().map(|inbox| Account { held: AtomicUsize::new(0), inbox }).collect();
    let share = |(index, inbox)| Share { index, members: Arc::clone(&members), inbox };
    receivers.into_iter().enumerate().map(share).collect()
}

impl Share {
    /// Whether there is anybody to share with.
    pub(crate) fn has_others(&self) -> bool {
        self.members.len() > 1
    }

    /// Gives a connection that this member took to the member with the fewest, or gives it back if this one serves it.
    pub(crate) fn pass_on(&self, mut arrival: Arrival) -> Option<Arrival> {
        let others = self.members.iter().enumerate().filter(|(index, _)| *index != self.index);
        let fewest = others.map(|(index, member)| (member.held.load(Relaxed), index)).min();
        let own = self.members[self.index].held.load(Relaxed);
        if let Some((_, index)) = fewest.filter(|(fewest, _)| own >= fewest + fewest / 8 + SLACK) {
            arrival.place.held = Some(Held::new(&self.members, index));
            match self.members[index].inbox.try_send(arrival) {
                Ok(()) => return None,
                // It has too much to do, or has left.
                Err(refused) => arrival = refused.into_inner(),
            }
        }
        arrival.place.held = Some(Held::new(&self.members, self.index));
        Some(arrival)
    }

    /// What another member passed on; `None` if this one has [left](Self::leave) and nothing is left. Cancel safe.
    pub(crate) async fn passed_here(&mut self) -> Option<Arrival> {
        self.inbox.recv().await
    }

    /// From now on the others serve themselves. What they have passed on, or are passing on at this moment, is still to be
    /// taken.
    pub(crate) fn leave(&mut self) {
        self.inbox.close();
    }
}

impl Held {
    fn new(members: &Arc<[Account]>, index: usize) -> Self {
        members[index].held.fetch_add(1, Relaxed);
        Self { members: Arc::clone(members), index }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.members[self.index].held.fetch_sub(1, Relaxed);
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.members[self.index].held.load(Relaxed);
        write!(f, "Share({held} of member {} of {})", self.index, self.members.len())
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held(by member {})", self.index)
    }
}

#[cfg(all(test, swapwire_loom))]
mod models;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::future::pending;

    use futures::FutureExt as _;
    use swapwire_core::{Addr, Incoming, Peer};

    use super::*;

    fn arrival() -> Arrival {
        let peer = Peer::new(Addr::named("mem", "x").unwrap());
        Arrival::for_test(Incoming::pending(peer, pending()))
    }

    #[test]
    fn whoever_takes_everything_serves_its_share() {
        let mut shares = shares(4);
        let mut served: Vec<Vec<Arrival>> = (0..4).map(|_| Vec::new()).collect();
        for _ in 0..400 {
            served[0].extend(shares[0].pass_on(arrival()));
            for (share, served) in shares.iter_mut().zip(&mut served).skip(1) {
                served.extend(share.inbox.try_recv());
            }
        }
        let counts: Vec<_> = served.iter().map(Vec::len).collect();
        assert!(counts.iter().sum::<usize>() == 400 && *counts.iter().min().unwrap() >= 90, "{counts:?}");
        // What ended makes room in its share.
        served[2].clear();
        assert!(shares[0].pass_on(arrival()).is_none());
        assert!(shares[2].inbox.try_recv().is_ok());
    }

    #[test]
    fn who_is_stuck_or_gone_gets_no_more() {
        let mut shares = shares(2);
        let mut kept: Vec<_> = (0..1000).filter_map(|_| shares[0].pass_on(arrival())).collect();
        assert_eq!(kept.len(), 1000 - INBOX);
        shares[1].leave();
        let left = std::iter::from_fn(|| shares[1].passed_here().now_or_never().flatten());
        assert_eq!(left.count(), INBOX);
        kept.extend((0..10).filter_map(|_| shares[0].pass_on(arrival())));
        assert_eq!(kept.len(), 1010 - INBOX);
        assert_eq!(shares[1].members[1].held.load(Relaxed), 0);
    }

    #[test]
    fn who_is_alone_keeps_everything() {
        let shares = shares(1);
        assert!(!shares[0].has_others());
        assert!((0..100).all(|_| shares[0].pass_on(arrival()).is_some()));
    }
}
