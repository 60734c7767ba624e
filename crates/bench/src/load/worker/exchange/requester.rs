//! When a connection sends its next request, and what a reply to it means.

use std::sync::Arc;

use tokio::time::Instant;

use crate::load::request::payload::Asked;
use crate::load::request::schedule::Schedule;
use crate::load::request::tally::Begun;
use crate::load::worker::shared::{Job, State};

/// One connection's part of the round. It outlives the wire: a connection that is opened anew goes on with it.
#[derive(Debug)]
pub(crate) struct Requester {
    pub(crate) job: Arc<Job>,
    schedule: Option<Schedule>,
    /// Requests of the schedule that were begun.
    scheduled: u64,
    /// Something else than the generator kept a request that is due from being sent.
    blocked: bool,
    random: fastrand::Rng,
    /// The next request's.
    number: u64,
    /// Requests begun and rightly answered on this wire.
    begun_here: u64,
    answered_here: u64,
}

impl Requester {
    pub(crate) fn new(job: Arc<Job>, index: usize) -> Self {
        let schedule = job.rate.map(|rate| Schedule::new(rate, index, job.connections));
        let random = fastrand::Rng::with_seed(job.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(index as u64));
        // Apart from the others', so that a reply that reaches the wrong connection is a wrong one.
        let number = (index as u64) << 32;
        Self { job, schedule, scheduled: 0, blocked: false, random, number, begun_here: 0, answered_here: 0 }
    }

    /// A new wire.
    pub(crate) fn renew(&mut self) {
        // What became due while there was no wire is late because of that.
        self.blocked = true;
        (self.begun_here, self.answered_here) = (0, 0);
    }

    /// Begins the next request, if one is to be sent at `now` and `can_send` says that it can be.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        can_send: bool,
        slot: u16,
        state: &mut State,
    ) -> Option<(Begun, Asked)> {
        if self.job.reconnect_every.is_some_and(|every| self.begun_here >= every) || state.failed.is_some() {
            return None;
        }
        let at = match (self.schedule, state.window) {
            (None, window) => {
                let early = window.is_none_or(|window| now < window.begin);
                if early && !self.job.warmup || window.is_some_and(|window| window.end.is_some_and(|end| now >= end)) {
                    return None;
                }
                now
            }
            (Some(_), None) => return None,
            (Some(schedule), Some(window)) => {
                let due = window.epoch + schedule.at(self.scheduled);
                if due > now || window.end.is_some_and(|end| due >= end) {
                    self.blocked = false;
                    return None;
                }
                due
            }
        };
        let measured = state.window.is_some_and(|window| at >= window.begin);
        if !can_send {
            self.blocked = true;
            return None;
        }
        if measured && !state.take_one() {
            return None;
        }
        if self.schedule.is_some() {
            self.scheduled += 1;
            if measured && !self.blocked {
                state.tally.round.lag.record(now - at);
            }
        }
        let asked = Asked { slot, number: self.number, size: self.job.sizes.draw(&mut self.random) };
        if measured {
            let tally = &mut state.tally;
            tally.round.requests += 1;
            tally.round.bytes_sent += asked.size as u64;
            tally.first = Some(tally.first.map_or(at, |first| first.min(at)));
        } else {
            state.tally.round.warmup_requests += 1;
        }
        let first = self.begun_here == 0;
        self.number += 1;
        self.begun_here += 1;
        Some((Begun { at, measured, first }, asked))
    }

    /// The reply to a request came.
    pub(crate) fn reply(&mut self, begun: Begun, right: bool, len: usize, now: Instant, state: &mut State) {
        self.answered_here += 1;
        if right {
            let window = state.window;
            state.tally.right(begun, len, now, window.as_ref());
        } else {
            state.tally.round.faults.wrong += u64::from(begun.measured);
        }
    }

    /// A request was not answered in time.
    pub(crate) fn lost(&mut self, begun: Begun, state: &mut State) {
        self.answered_here += 1;
        state.tally.round.faults.lost += u64::from(begun.measured);
    }

    /// Whether this wire has done its part and a new one is due.
    pub(crate) fn used_up(&self) -> bool {
        self.job.reconnect_every.is_some_and(|every| self.answered_here >= every)
    }

    /// Whether this wire has answered anything.
    pub(crate) fn was_answered(&self) -> bool {
        self.answered_here > 0
    }

    /// Whether no more requests will be begun.
    pub(crate) fn over(&self, now: Instant, state: &State) -> bool {
        let Some(window) = state.window else { return state.failed.is_some() };
        if state.failed.is_some() || state.remaining == Some(0) {
            return true;
        }
        let Some(end) = window.end else { return false };
        match self.schedule {
            None => now >= end,
            Some(_) => now >= end && (now >= end + self.job.timeout || self.backlog(state) == 0),
        }
    }

    /// How many requests of an open loop are due before the end and not begun.
    pub(crate) fn backlog(&self, state: &State) -> u64 {
        match (self.schedule, state.window) {
            (Some(schedule), Some(window)) => match window.end {
                Some(end) => schedule.before(end - window.epoch).saturating_sub(self.scheduled),
                None => 0,
            },
            _ => 0,
        }
    }
}
