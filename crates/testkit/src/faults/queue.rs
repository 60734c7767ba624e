//! What is on its way: a bounded queue of things with the times at which they arrive.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::wire::Wire;

/// Things on their way. The caller asks [`has_room`](Self::has_room) before it adds one.
pub(super) struct Delayed<T> {
    /// By the time at which they arrive; each with what it weighs.
    queue: VecDeque<(Instant, usize, T)>,
    weight: usize,
    most: usize,
    reorders: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T> Delayed<T> {
    /// At most `most` of what things weigh, and one thing more.
    pub(super) fn new(most: usize, reorders: bool) -> Self {
        Self { queue: VecDeque::new(), weight: 0, most, reorders, timer: None }
    }

    pub(super) fn has_room(&self) -> bool {
        self.weight < self.most
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Adds a thing, with the latency that the dice say.
    pub(super) fn push(&mut self, thing: T, weight: usize, wire: &mut Wire) {
        let range = wire.faults().latency.clone();
        let latency = if wire.is_calm() { Duration::ZERO } else { wire.dice.time(&range) };
        let mut due = Instant::now() + latency;
        let mut at = self.queue.len();
        match self.queue.back() {
            Some((last, ..)) if !self.reorders => due = due.max(*last),
            _ => at = self.queue.partition_point(|(other, ..)| *other <= due),
        }
        self.weight += weight;
        self.queue.insert(at, (due, weight, thing));
    }

    /// Puts a thing back that was not used up: it is the next one again.
    pub(super) fn push_front(&mut self, thing: T, weight: usize) {
        self.weight += weight;
        self.queue.push_front((Instant::now(), weight, thing));
    }

    /// The next thing that has arrived. Pending, with a timer, if none has; without one if nothing is on its way.
    pub(super) fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let Some((due, ..)) = self.queue.front() else { return Poll::Pending };
        if *due > Instant::now() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(*due)));
            if timer.deadline() != *due {
                timer.as_mut().reset(*due);
            }
            ready!(timer.as_mut().poll(cx));
        }
        match self.queue.pop_front() {
            Some((_, weight, thing)) => {
                self.weight -= weight;
                Poll::Ready(thing)
            }
            None => Poll::Pending,
        }
    }
}
