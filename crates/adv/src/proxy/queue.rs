//! Datagrams that wait until they are due.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

use super::counters::{Counters, add};
use super::datagrams::Session;
use super::peers::{Peer, Shared};

/// Where a datagram goes.
#[derive(Debug)]
pub(super) enum To {
    Server(Rc<Session>),
    Client(Peer),
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    /// Those that are due at the same time keep their order.
    order: u64,
    to: To,
    bytes: Vec<u8>,
}

/// At most so many datagrams, the first due first.
#[derive(Debug)]
pub(super) struct Queue {
    most: usize,
    waiting: RefCell<BinaryHeap<Waiting>>,
    order: Cell<u64>,
    more: Notify,
    room: Notify,
}

/// How long a Unix socket is waited for that takes no more.
const FULL: Duration = Duration::from_secs(1);

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        let (waiting, order) = (RefCell::default(), Cell::new(0));
        Self { most, waiting, order, more: Notify::new(), room: Notify::new() }
    }

    /// Takes one more, if there is room.
    pub(super) fn push(&self, delay: Duration, to: To, bytes: Vec<u8>) -> bool {
        if !self.has_room() {
            return false;
        }
        let order = self.order.get();
        self.order.set(order + 1);
        self.waiting.borrow_mut().push(Waiting { due: Instant::now() + delay, order, to, bytes });
        self.more.notify_one();
        true
    }

    /// Resolves when there is room.
    pub(super) async fn room(&self) {
        while !self.has_room() {
            self.room.notified().await;
        }
        // Somebody else may wait as well.
        self.room.notify_one();
    }

    fn has_room(&self) -> bool {
        self.waiting.borrow().len() < self.most
    }

    /// Sends each when it is due, for ever.
    pub(super) async fn deliver(&self, socket: &Shared, counters: &Counters) {
        loop {
            let due = self.waiting.borrow().peek().map(|first| first.due);
            match due {
                None => self.more.notified().await,
                Some(due) if due > Instant::now() => tokio::select! {
                    () = sleep_until(due.into()) => {}
                    () = self.more.notified() => {}
                },
                Some(_) => {
                    let first = self.waiting.borrow_mut().pop();
                    self.room.notify_one();
                    if let Some(Waiting { to, bytes, .. }) = first {
                        send(socket, &to, &bytes, counters).await;
                    }
                }
            }
        }
    }
}

async fn send(socket: &Shared, to: &To, bytes: &[u8], counters: &Counters) {
    let sent = async {
        match to {
            To::Server(session) => session.upstream.send(bytes).await.map(drop),
            To::Client(peer) => socket.send_to(bytes, peer).await,
        }
    };
    match timeout(FULL, sent).await {
        Ok(Ok(())) => add(&counters.bytes, bytes.len() as u64),
        _ => add(&counters.unsent, 1),
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    /// The heap gives the greatest first, which is the one that is due first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_due_is_first_and_there_are_no_more_than_the_most() {
        let queue = Queue::new(3);
        let push = |ms, name: &[u8]| queue.push(Duration::from_millis(ms), To::Client(Peer::Nobody), name.to_vec());
        assert!(push(900, b"c") && push(100, b"a") && push(500, b"b"));
        assert!(!push(0, b"one too many"));
        let mut waiting = queue.waiting.borrow_mut();
        let names: Vec<_> = std::iter::from_fn(|| waiting.pop()).map(|one| one.bytes).collect();
        assert_eq!(names, [b"a", b"b", b"c"]);
    }
}
