//! One direction's next operation: what will become of it is decided once, however often it is polled.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Sleep, sleep};

use super::FaultKind;
use super::wire::Wire;

#[derive(Clone, Copy)]
pub(super) struct Next {
    /// How many bytes it may move.
    pub(super) most: usize,
    pub(super) fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Goes,
    Resets,
    Ends,
}

/// Which operation it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
    /// Of datagrams, which are not cut.
    Loose,
}

pub(super) struct Turn {
    pub(super) wire: Wire,
    way: Way,
    next: Option<Next>,
    stall: Option<Pin<Box<Sleep>>>,
}

impl Turn {
    pub(super) fn new(wire: Wire, way: Way) -> Self {
        Self { wire, way, next: None, stall: None }
    }

    /// What becomes of the next operation, once it is ready to be tried.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let next = match self.next {
            Some(next) => next,
            None => self.decide(),
        };
        if let Some(stall) = &mut self.stall {
            ready!(stall.as_mut().poll(cx));
            self.stall = None;
        }
        Poll::Ready(next)
    }

    /// The operation was done: the next one has a fate of its own.
    pub(super) fn is_done(&mut self) {
        self.next = None;
    }

    fn decide(&mut self) -> Next {
        let wire = &mut self.wire;
        let slice = if wire.is_calm() { 0 } else { wire.faults().slice };
        let most = if slice == 0 { usize::MAX } else { 1 + wire.dice.index(slice) };
        let fate = match self.way {
            Way::In | Way::Out if wire.happens(|faults| faults.reset) => Fate::Resets,
            Way::In if wire.happens(|faults| faults.early_end) => Fate::Ends,
            _ => Fate::Goes,
        };
        if wire.happens(|faults| faults.stall) {
            let range = wire.faults().stall_for.clone();
            let time = wire.dice.time(&range);
            wire.tell(FaultKind::Stalled(time));
            self.stall = Some(Box::pin(sleep(time)));
        }
        *self.next.insert(Next { most, fate })
    }
}
