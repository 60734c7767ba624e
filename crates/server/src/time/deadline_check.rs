//! Whether a deadline that seems to be over counts.
//!
//! A process may have been stopped: by `SIGSTOP`, with its container, with its virtual machine. Its clock went on, and what
//! its peers sent meanwhile waits in the system. When it continues, its timers go off before the reactor reports any of
//! that: `epoll_wait(2)` was interrupted (`signal(7)`), and of many sockets it reports a part at a time. So every clock of
//! the server uses this check before it ends anything.

use std::future::Future;
use std::time::Duration;

use tokio::task::coop::has_budget_remaining;
use tokio::time::sleep;

use super::timer_wheel::TICK;
use crate::metrics::WorkerLoad;

/// The turns of the reactor that are always waited for: one may have been interrupted, or be the one in which the deadline
/// came.
const REACTOR_POLLS: u8 = 2;
/// tokio's reactor tells of at most so many sockets in a turn, unless the runtime was built otherwise.
const EVENTS: usize = 1024;
/// Turns of the reactor since a deadline seemed to be over.
#[derive(Debug, Default)]
pub(crate) struct DeadlineCheck {
    /// Those that are still to come; none before it has begun.
    left: u8,
}

impl DeadlineCheck {
    /// Whether a deadline is over that seems to be. Call it when the wire was checked and is not ready; if it returns
    /// `false`, call it in the same way after a timer that was set behind it: a reactor reports sockets before timers, so
    /// that is one turn of it.
    #[cold]
    pub(crate) fn is_done(&mut self, load: &WorkerLoad) -> bool {
        // A task that has had its turn is told that nothing is ready: that was no look.
        if !has_budget_remaining() {
            return false;
        }
        if self.has_begun() {
            self.left -= 1;
            return !self.has_begun();
        }
        self.left = REACTOR_POLLS.saturating_add(u8::try_from(load.open() / EVENTS).unwrap_or(u8::MAX));
        false
    }

    /// Whether it was asked since it began, and waits for a turn.
    pub(crate) fn has_begun(&self) -> bool {
        self.left > 0
    }

    /// Something came all the same, or it is another deadline.
    #[inline(always)]
    pub(crate) fn begin_anew(&mut self) {
        *self = Self::default();
    }
}

/// Ready when `time` is over and the check has confirmed it. A caller that also waits for something else polls that first.
pub(crate) async fn over(time: Duration, load: &WorkerLoad) {
    let mut look = DeadlineCheck::default();
    sleep(time).await;
    while !look.is_done(load) {
        sleep(TICK).await;
    }
}

/// The output of `future`, unless it takes longer than `time` and the check has confirmed it.
pub(crate) async fn within<T>(time: Duration, load: &WorkerLoad, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = over(time, load) => None,
    }
}
