//! The deadlines of a session with a message handler, on a byte stream or a message stream.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::drain::patience;
use crate::time::{Since, Tick, TimerEntry, TimerWheel};
use crate::{ServeContext, SessionEnd};

/// What a session waits for, and since when.
pub(crate) struct Deadlines<'a> {
    timer: TimerEntry<'a>,
    /// Since when there is nothing to do but to wait for the peer.
    waiting_since: Since,
    /// When the partial frame must be whole; 0 without one.
    frame: Tick,
    /// Since when the peer has taken nothing.
    stuck_since: Since,
    drain_seen: Since,
}

impl<'a> Deadlines<'a> {
    pub(crate) fn new(wheel: &'a TimerWheel) -> Self {
        Self {
            timer: TimerEntry::new(wheel),
            waiting_since: Since::NEVER,
            frame: 0,
            stuck_since: Since::NEVER,
            drain_seen: Since::NEVER,
        }
    }

    /// The peer has sent something; whether the session had waited for it.
    #[inline(always)]
    pub(crate) fn heard(&mut self) -> bool {
        std::mem::replace(&mut self.waiting_since, Since::NEVER).has_begun()
    }

    /// The peer has taken something.
    #[inline(always)]
    pub(crate) fn taken(&mut self) {
        self.stuck_since = Since::NEVER;
    }

    #[inline(always)]
    pub(crate) fn has_frame(&self) -> bool {
        self.frame != 0
    }

    /// A partial frame is open, and was before unless a message was `served` since; or none is.
    pub(crate) fn set_frame(&mut self, is_partial: bool, served: bool, wheel: &TimerWheel) {
        self.frame = match is_partial {
            false => 0,
            true if self.frame != 0 && !served => self.frame,
            true => wheel.now() + wheel.frame,
        };
    }

    /// Waits for the peer: ready when a deadline is over, or the drain is. `answered` says that the peer owes nothing: it has
    /// sent messages, and none that is not whole.
    #[inline(always)]
    pub(crate) fn poll_peer(&mut self, task: &mut Context<'_>, answered: bool, cx: &ServeContext) -> Poll<SessionEnd> {
        let now = cx.timers.now();
        self.waiting_since.begin(now);
        if self.timer.is_armed(now) && !cx.drain.has_begun() {
            return Poll::Pending;
        }
        self.poll_peer_anew(task, now, answered, cx)
    }

    /// The entry has come due, or there was none.
    #[cold]
    fn poll_peer_anew(
        &mut self,
        task: &mut Context<'_>,
        now: Tick,
        answered: bool,
        cx: &ServeContext,
    ) -> Poll<SessionEnd> {
        let wheel = &*cx.timers;
        self.waiting_since.set_right(wheel);
        let (deadline, late) = match self.has_frame() {
            true => {
                self.frame = wheel.begun(self.frame - wheel.frame) + wheel.frame;
                (self.frame, SessionEnd::FrameTimeout)
            }
            false => (self.waiting_since.deadline(wheel.idle), SessionEnd::IdleTimeout),
        };
        if !cx.drain.has_begun() {
            let over = self.timer.poll(task, now, deadline, &cx.load).map(|()| late);
            // Asked again behind the entry: a session that is entered later is not woken by the drain.
            if over.is_ready() || !cx.drain.has_begun() {
                return over;
            }
        }
        self.drain_seen.set_right(wheel);
        let drained = self.drain_seen.begin(now) + patience(answered, wheel);
        let late = if drained <= deadline { SessionEnd::Drained } else { late };
        self.timer.poll(task, now, drained.min(deadline), &cx.load).map(|()| late)
    }

    /// Waits until the peer takes something: ready when it took nothing for too long.
    #[cold]
    pub(crate) fn poll_room(&mut self, task: &mut Context<'_>, cx: &ServeContext) -> Poll<SessionEnd> {
        let (now, wheel) = (cx.timers.now(), &*cx.timers);
        if !self.timer.is_armed(now) {
            self.stuck_since.set_right(wheel);
        }
        let deadline = self.stuck_since.begin(now) + wheel.write;
        self.timer.poll(task, now, deadline, &cx.load).map(|()| SessionEnd::WriteTimeout)
    }

    /// Whether a peer that never pauses has had the grace of the drain.
    #[inline(always)]
    pub(crate) fn drain_is_over(&mut self, cx: &ServeContext) -> bool {
        cx.drain.has_begun() && {
            self.timer.begin_anew();
            let (now, wheel) = (cx.timers.now(), &*cx.timers);
            now >= self.drain_seen.begin(now) + wheel.grace && {
                self.drain_seen.set_right(wheel);
                now >= self.drain_seen.begin(now) + wheel.grace
            }
        }
    }

    /// How long the session has waited for its peer.
    pub(crate) fn quiet(&self, wheel: &TimerWheel) -> Duration {
        self.waiting_since.elapsed(wheel)
    }
}
