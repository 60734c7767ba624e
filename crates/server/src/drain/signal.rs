//! The begin of the drain, as a future and as a flag.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::task::Context;

use swapwire_core::DrainToken;

use crate::sync::{AtomicBool, CancellationToken, WaitForCancellationFutureOwned};

/// The signals that stop the loops of a worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopSignals {
    pub(crate) drain: Drain,
    /// At the drain deadline: what is left is cut.
    pub(crate) abort: tokio_util::sync::CancellationToken,
}

/// The begin of the drain: a token to wait for, and a flag to check.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    pub(crate) token: CancellationToken,
    /// Cancelled a little later, so that a session first receives what was already waiting in the system.
    pub(crate) sessions: DrainToken,
    flag: Arc<Flag>,
}

/// On a line of memory of its own: it is read with every message, and what lies beside it is another worker's.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Flag(AtomicBool);

impl Drain {
    /// What was done before is seen by whoever sees the flag and puts a fence (`Acquire`) behind it.
    pub(crate) fn begin(&self) {
        self.flag.0.store(true, Release);
        self.token.cancel();
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.flag.0.load(Relaxed)
    }

    pub(crate) fn watch(&self) -> DrainWatch {
        let wait = Box::pin(self.token.clone().cancelled_owned());
        DrainWatch { flag: Arc::clone(&self.flag), wait, registered: false }
    }
}

/// Lets one task wait for the drain without asking the token at every wait.
pub(crate) struct DrainWatch {
    flag: Arc<Flag>,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Polled once: that is enough, because the task's waker stays the same.
    registered: bool,
}

impl DrainWatch {
    /// Whether the drain has begun; if not, the task is woken when it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.registered {
            self.registered = true;
            return self.wait.as_mut().poll(cx).is_ready();
        }
        self.flag.0.load(Relaxed)
    }
}

#[cfg(all(test, swapwire_loom))]
mod models;
