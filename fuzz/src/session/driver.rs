//! Polling by hand.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use super::super::wire::Wire;

/// Calls of the wire that may move nothing during one poll: each direction's, flushing and ending.
const IDLE: usize = 4;

/// Polls futures, wakes who waits for the wire, and sees that nobody spins or waits for nothing.
pub(super) struct Driver {
    wire: Wire,
    wakes: Arc<Wakes>,
    waker: Waker,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Driver {
    pub(super) fn new(wire: Wire) -> Self {
        let wakes = Arc::new(Wakes::default());
        Self { wire, waker: Arc::clone(&wakes).into(), wakes }
    }

    fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        self.wire.state().idle = 0;
        let polled = future.poll(&mut Context::from_waker(&self.waker));
        let idle = self.wire.state().idle;
        assert!(idle <= IDLE, "{idle} calls without progress in one poll");
        polled
    }

    /// Polls up to `most` times; `None`: it was cancelled.
    pub(super) fn attempt<F: Future>(&self, future: F, most: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..most {
            let wakes = self.wakes.0.load(Relaxed);
            if let Poll::Ready(output) = self.poll(future.as_mut()) {
                return Some(output);
            }
            let woken = self.wire.wake() || self.wakes.0.load(Relaxed) > wakes;
            assert!(woken, "it waits, and nobody will wake it");
        }
        None
    }

    /// Polls up to `most` times what need not wait for the wire.
    pub(super) fn attempt_unwatched<F: Future>(&self, future: F, most: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        (0..most).find_map(|_| match self.poll(future.as_mut()) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    }

    /// Polls to the end.
    pub(super) fn finish<F: Future>(&self, future: F) -> F::Output {
        // A script has fewer steps.
        self.attempt(future, 1000).expect("an end")
    }
}
