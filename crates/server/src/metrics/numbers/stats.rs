//! Counting.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};

use swapwire_core::Endpoint;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::counters::{SessionEnd, Stats, Unhealthy};

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }

    pub(crate) fn one(counter: &AtomicU64) {
        Self::add(counter, 1);
    }

    /// Counts what was received together.
    #[inline(always)]
    pub(crate) fn received(&self, messages: u64, bytes: u64) {
        self.add_each([(&self.messages, messages), (&self.received_bytes, bytes)]);
    }

    /// Counts what was sent together.
    #[inline(always)]
    pub(crate) fn sent(&self, messages: u64, bytes: u64) {
        self.add_each([(&self.messages_sent, messages), (&self.sent_bytes, bytes)]);
    }

    /// Counts messages and bytes in both directions.
    #[inline(always)]
    pub(crate) fn moved(&self, received: (u64, u64), sent: (u64, u64)) {
        let (in_, out) = ((&self.messages, received.0), (&self.messages_sent, sent.0));
        self.add_each([in_, (&self.received_bytes, received.1), out, (&self.sent_bytes, sent.1)]);
    }

    /// Counts bytes that a byte stream has taken.
    #[inline(always)]
    pub(crate) fn wrote(&self, bytes: usize) {
        self.add_each([(&self.sent_bytes, bytes as u64)]);
    }

    /// Counts the messages and the bytes of one read of a byte stream, and the replies that were queued.
    #[inline(always)]
    pub(crate) fn handled(&self, messages: u32, replies: u32, bytes: usize) {
        let (handled, replied) = ((&self.messages, messages.into()), (&self.messages_sent, replies.into()));
        self.add_each([handled, replied, (&self.received_bytes, bytes as u64)]);
    }

    /// Adds to counters that only the loops of a listener write, as no other thread does it meanwhile.
    #[inline(always)]
    fn add_each<const N: usize>(&self, each: [(&AtomicU64, u64); N]) {
        if self.has_one_writer.load(Relaxed) {
            for (counter, n) in each {
                counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
            }
        } else {
            each.into_iter().for_each(|(counter, n)| Self::add(counter, n));
        }
    }

    /// Counts the end of a session.
    pub(crate) fn ended(&self, end: SessionEnd) {
        Self::one(self.of(end));
        match end {
            SessionEnd::HandlerError => Self::one(&self.handler_errors),
            SessionEnd::Panicked => Self::one(&self.panics),
            _ => {}
        }
    }

    /// Says of one endpoint whether it is unhealthy for this reason.
    pub(crate) fn set_unhealthy(&self, endpoint: &Endpoint, kind: Unhealthy, is: bool) {
        let mut all = self.unhealthy.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(other, why)| (other, *why) != (endpoint, kind));
        if is {
            all.push((endpoint.clone(), kind));
        }
    }

    /// The endpoints that are unhealthy, each once.
    pub(crate) fn unhealthy<'a>(all: impl IntoIterator<Item = &'a Arc<Self>>) -> Vec<Endpoint> {
        let mut found = Vec::new();
        for one in all {
            for (endpoint, _) in one.unhealthy.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                if !found.contains(endpoint) {
                    found.push(endpoint.clone());
                }
            }
        }
        found
    }

    /// A loop serves from now on, until this is dropped, on the runtime that this is called on. If that has one thread, which
    /// then is the only one that counts, no batch costs a locked instruction.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn serving(self: &Arc<Self>) -> Serving {
        let has_one_thread = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        self.has_one_writer.store(has_one_thread, Relaxed);
        self.serving.fetch_add(1, Relaxed);
        Serving(Arc::clone(self))
    }

    /// How many loops serve, if none is unhealthy.
    pub(crate) fn healthy_loops(&self) -> usize {
        let is_healthy = self.unhealthy.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if is_healthy { self.serving.load(Relaxed) } else { 0 }
    }
}

/// A loop that serves.
#[derive(Debug)]
pub(crate) struct Serving(Arc<Stats>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.serving.fetch_sub(1, Relaxed);
    }
}
