//! The timer of one session: its entry in the wheel, and the check of a deadline that seems to be over.

use std::task::{Context, Poll, Waker};

use super::deadline_check::DeadlineCheck;
use super::timer_wheel::{Tick, TimerWheel};
use crate::metrics::WorkerLoad;

/// A session's entry in the wheel; dropping it removes it.
#[derive(Debug)]
pub(crate) struct TimerEntry<'a> {
    wheel: &'a TimerWheel,
    due: Tick,
    /// Its place in the wheel; [`NONE`] before it has waited. (An `Option` would be twice as large.)
    index: u32,
    check: DeadlineCheck,
    /// The deadline that is checked, but for its upper bits.
    checked: u8,
}

const NONE: u32 = u32::MAX;

impl<'a> TimerEntry<'a> {
    /// For a session that may come to wait.
    pub(crate) fn new(wheel: &'a TimerWheel) -> Self {
        Self { wheel, due: 0, index: NONE, check: DeadlineCheck::default(), checked: 0 }
    }

    /// Whether the task will be woken in time for every deadline that began since it was entered.
    #[inline(always)]
    pub(crate) fn is_armed(&self, now: Tick) -> bool {
        now < self.due
    }

    /// Has the task woken at `deadline`, or earlier; whether the deadline is over by now. Costs a comparison, unless the
    /// entry has come due. A task's waker must stay the same, as those of spawned tasks do.
    #[inline(always)]
    pub(super) fn poll_time(&mut self, waker: &Waker, now: Tick, deadline: Tick) -> Poll<()> {
        if now >= deadline {
            return Poll::Ready(());
        }
        if now >= self.due || deadline < self.due {
            let index = (self.index != NONE).then_some(self.index);
            let due = deadline.min(now.saturating_add(self.wheel.horizon));
            (self.index, self.due) = self.wheel.enter(index, waker, due);
        }
        Poll::Pending
    }

    /// Ready once `deadline` is over and that is [believed](DeadlineCheck::is_done): to be asked when the wire was asked and is
    /// not ready. The task is woken then, or earlier.
    #[cold]
    pub(crate) fn poll(&mut self, task: &mut Context<'_>, now: Tick, deadline: Tick, load: &WorkerLoad) -> Poll<()> {
        if std::mem::replace(&mut self.checked, deadline as u8) != deadline as u8 {
            self.check.begin_anew();
        }
        if self.poll_time(task.waker(), now, deadline).is_pending() {
            return Poll::Pending;
        }
        // A tick is a turn of the reactor.
        if self.check.has_begun() && self.is_armed(now) {
            return Poll::Pending;
        }
        match self.check.is_done(load) {
            true => Poll::Ready(()),
            false => self.poll_time(task.waker(), now, now + 1),
        }
    }

    /// Has the task woken at the next tick, and the check begin anew.
    #[cold]
    pub(crate) fn put_off(&mut self, task: &mut Context<'_>, now: Tick) {
        self.check.begin_anew();
        let _ = self.poll_time(task.waker(), now, now + 1);
    }

    /// Something came all the same, although the deadline stays.
    #[inline(always)]
    pub(crate) fn begin_anew(&mut self) {
        self.check.begin_anew();
    }
}

impl Drop for TimerEntry<'_> {
    fn drop(&mut self) {
        if self.index != NONE {
            self.wheel.leave(self.index);
        }
    }
}
