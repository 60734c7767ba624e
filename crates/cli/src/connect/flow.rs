//! What the sending and the receiving side of a talk know of each other.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::Plan;
use crate::exit::complain;

/// No more datagrams than this are under way unanswered, nor more bytes unless it is a single one: where a receive
/// buffer is full, they are lost.
const WINDOW: usize = 64;
const WINDOW_BYTES: usize = 64 << 10;
/// After this long without a reply, what is under way counts as lost.
const STALE: Duration = Duration::from_millis(100);

/// Counts of one talk; both sides run in one task.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    tell: Tell,
    sent_all: Cell<bool>,
    sent: Cell<u64>,
    received: Cell<u64>,
    /// Messages that were lost, as far as the system told.
    lost: Cell<u64>,
    /// Messages that could not be sent at all.
    skipped: Cell<u64>,
    /// Sent, and no longer waited for by the window.
    written_off: Cell<u64>,
    /// The peer does not answer each message: no window.
    mute: Cell<bool>,
    showing: Cell<bool>,
    changed: Notify,
    last_warning: RefCell<String>,
}

/// Where what is wrong is written.
struct Tell(Box<dyn Fn(&str)>);

impl Default for Tell {
    fn default() -> Self {
        Self(Box::new(|line| complain(line)))
    }
}

impl fmt::Debug for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tell")
    }
}

impl Flow {
    /// Writes what is wrong elsewhere than to the standard error.
    pub(crate) fn telling(tell: impl Fn(&str) + 'static) -> Self {
        Self { tell: Tell(Box::new(tell)), ..Self::default() }
    }

    pub(crate) fn note_sent_all(&self) {
        self.sent_all.set(true);
    }

    /// The input has ended, and all of it was given to the system.
    pub(crate) fn has_sent_all(&self) -> bool {
        self.sent_all.get()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.get()
    }

    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.get()
    }

    pub(crate) fn note_sent(&self) {
        add(&self.sent);
    }

    pub(crate) fn note_skipped(&self) {
        add(&self.skipped);
    }

    pub(crate) fn note_received(&self) {
        add(&self.received);
        self.changed.notify_one();
    }

    pub(crate) fn note_lost(&self) {
        add(&self.lost);
        self.changed.notify_one();
    }

    /// While a message is being shown, it must not be concluded that none comes.
    pub(crate) fn set_showing(&self, showing: bool) {
        self.showing.set(showing);
    }

    pub(crate) fn is_showing(&self) -> bool {
        self.showing.get()
    }

    /// Every message has its reply, or is known to be lost.
    pub(crate) fn is_settled(&self) -> bool {
        self.received.get() + self.lost.get() >= self.sent.get()
    }

    /// Waits until something was received or lost.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether a datagram of `len` bytes should wait for replies first.
    pub(crate) fn is_full(&self, len: usize) -> bool {
        let window = (WINDOW_BYTES / len.max(1)).clamp(1, WINDOW) as u64;
        let done = self.received.get() + self.lost.get() + self.written_off.get();
        !self.mute.get() && self.sent.get().saturating_sub(done) >= window
    }

    /// Waits until a datagram of `len` bytes may go.
    pub(crate) async fn room(&self, len: usize) {
        while self.is_full(len) {
            if timeout(STALE, self.changed()).await.is_err() {
                self.mute.set(self.received.get() == 0);
                let done = self.received.get() + self.lost.get();
                self.written_off.set(self.sent.get().saturating_sub(done));
            }
        }
    }

    /// Says what is wrong, once for each row of the same.
    pub(crate) fn complain(&self, plan: &Plan, what: &str, cause: &str) {
        let line = format!("{what} {}: {cause}", plan.endpoint);
        if *self.last_warning.borrow() != line {
            (self.tell.0)(&line);
            self.last_warning.replace(line);
        }
    }
}

fn add(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}
