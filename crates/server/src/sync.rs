//! What threads share, where a model checks how they do: the standard library's, or loom's where `--cfg swapwire_loom` builds
//! the models (`scripts/loom`). Not `--cfg loom`: that changes tokio as well.

#[cfg(not(swapwire_loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
#[cfg(not(swapwire_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(not(swapwire_loom))]
pub(crate) use futures::task::AtomicWaker;
#[cfg(swapwire_loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
#[cfg(swapwire_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(swapwire_loom)]
#[derive(Debug)]
pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

#[cfg(swapwire_loom)]
impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.0.register_by_ref(waker);
    }

    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}
