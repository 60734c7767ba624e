//! Balances the load of members that accept from one queue: a member that holds more than the others passes on what it
//! accepts.
//!
//! Where all members accept from one queue, the member that the system wakes first accepts all that is there: of 400
//! clients that stayed, one or two of four workers got none (measured on two cores). Waiting, so that others may take what
//! comes, would cost time, and a blocked worker would delay every connection; passing on costs one wake-up.

use std::sync::Arc;

use crate::sync::{AtomicUsize, Ordering::Relaxed, mpsc};

/// Connections that wait for the member they were passed to. When there are so many, the worker that accepted a connection
/// serves it.
const INBOX: usize = 64;
/// A member may hold so many more than the one with the fewest, and an eighth of those, before it passes on: as long as no
/// worker is far ahead, a connection is best served where it arrived.
const SLACK: usize = 4;

/// What one member accepts from a queue, and gets from the others.
pub(crate) struct AcceptBalance<T> {
    index: usize,
    loads: Arc<[Load]>,
    inboxes: Arc<[mpsc::Sender<(T, CountedConnection)>]>,
    inbox: mpsc::Receiver<(T, CountedConnection)>,
}

/// How many connections one member holds, on a line of memory of its own: it changes with every connection.
#[derive(Debug)]
#[repr(align(128))]
struct Load(AtomicUsize);

/// Counts a connection to one member's load, until it is dropped.
#[derive(Debug)]
pub(crate) struct CountedConnection {
    loads: Arc<[Load]>,
    index: usize,
}

/// One for each of `count` members.
pub(crate) fn balance<T>(count: usize) -> Vec<AcceptBalance<T>> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(INBOX)).unzip();
    let loads: Arc<[_]> = (0..count).map(|_| Load(AtomicUsize::new(0))).collect();
    let inboxes: Arc<[_]> = senders.into();
    let one = |(index, inbox)| AcceptBalance { index, loads: Arc::clone(&loads), inboxes: Arc::clone(&inboxes), inbox };
    receivers.into_iter().enumerate().map(one).collect()
}

impl<T> AcceptBalance<T> {
    /// Whether there is another member.
    pub(crate) fn has_others(&self) -> bool {
        self.loads.len() > 1
    }

    /// Gives a connection that this member accepted to the member with the fewest, or gives it back if this one serves it.
    pub(crate) fn pass_on(&self, mut connection: T) -> Option<(T, CountedConnection)> {
        let others = self.loads.iter().enumerate().filter(|(index, _)| *index != self.index);
        let fewest = others.map(|(index, load)| (load.0.load(Relaxed), index)).min();
        let own = self.loads[self.index].0.load(Relaxed);
        if let Some((_, index)) = fewest.filter(|(fewest, _)| own >= fewest + fewest / 8 + SLACK) {
            match self.inboxes[index].try_send((connection, CountedConnection::new(&self.loads, index))) {
                Ok(()) => return None,
                // It has too much to do, or has left.
                Err(refused) => connection = refused.into_inner().0,
            }
        }
        Some((connection, CountedConnection::new(&self.loads, self.index)))
    }

    /// What another member passed on; `None` if this one has [left](Self::leave) and nothing is left. Cancel safe.
    pub(crate) async fn passed_here(&mut self) -> Option<(T, CountedConnection)> {
        self.inbox.recv().await
    }

    /// From now on the others serve what they accept. What they have passed on, or are passing on at this moment, is still to
    /// be taken.
    pub(crate) fn leave(&mut self) {
        self.inbox.close();
    }
}

impl CountedConnection {
    fn new(loads: &Arc<[Load]>, index: usize) -> Self {
        loads[index].0.fetch_add(1, Relaxed);
        Self { loads: Arc::clone(loads), index }
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.loads[self.index].0.fetch_sub(1, Relaxed);
    }
}

#[cfg(all(test, swapwire_loom))]
mod models;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_member_that_accepts_everything_serves_its_part() {
        let mut members = balance(4);
        let mut served: Vec<Vec<_>> = (0..4).map(|_| Vec::new()).collect();
        for _ in 0..400 {
            served[0].extend(members[0].pass_on(()));
            for (member, served) in members.iter_mut().zip(&mut served).skip(1) {
                served.extend(member.inbox.try_recv());
            }
        }
        let counts: Vec<_> = served.iter().map(Vec::len).collect();
        assert!(counts.iter().sum::<usize>() == 400 && *counts.iter().min().unwrap() >= 90, "{counts:?}");
        // What ended is no load.
        served[2].clear();
        assert!(members[0].pass_on(()).is_none());
        assert!(members[2].inbox.try_recv().is_ok());
    }

    #[test]
    fn a_member_that_is_stuck_or_gone_gets_no_more() {
        let mut members = balance(2);
        let mut kept: Vec<_> = (0..1000).filter_map(|_| members[0].pass_on(())).collect();
        assert_eq!(kept.len(), 1000 - INBOX);
        members[1].leave();
        let left = std::iter::from_fn(|| members[1].passed_here().now_or_never().flatten());
        assert_eq!(left.count(), INBOX);
        kept.extend((0..10).filter_map(|_| members[0].pass_on(())));
        assert_eq!(kept.len(), 1010 - INBOX);
        assert_eq!(members[1].loads[1].0.load(Relaxed), 0);
    }

    #[test]
    fn a_single_member_keeps_everything() {
        let members = balance(1);
        assert!(!members[0].has_others());
        assert!((0..100).all(|_| members[0].pass_on(()).is_some()));
    }
}
