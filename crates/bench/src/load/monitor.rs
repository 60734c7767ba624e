//! What others see of a run while it goes on, and how they end it early.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Seen from outside the measuring threads, which only ever add to counters.
#[derive(Clone, Debug, Default)]
pub struct Monitor(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stopped: AtomicBool,
    replies: AtomicU64,
    stage: Mutex<Stage>,
}

/// What is being measured.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stage {
    /// The target's name and its load, as `tcp, 64 B, 64 connections`.
    pub what: String,
    /// The round, from 1; or the number of the probe.
    pub round: usize,
    /// Measurements finished: rounds of cells.
    pub done: usize,
    /// Measurements in all; `None` in a search.
    pub all: Option<usize>,
    /// How long one takes, if its end is a time.
    pub each: Option<Duration>,
}

impl Monitor {
    /// Nothing begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the run early: the measurement under way is thrown away, those before are kept, and the run is marked as partial.
    pub fn stop(&self) {
        self.0.stopped.store(true, Relaxed);
    }

    /// Whether it was told to stop.
    pub fn stopped(&self) -> bool {
        self.0.stopped.load(Relaxed)
    }

    /// Right replies since the run began, of all threads; a little behind.
    pub fn replies(&self) -> u64 {
        self.0.replies.load(Relaxed)
    }

    /// What is being measured now.
    pub fn stage(&self) -> Stage {
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_replies(&self, count: u64) {
        self.0.replies.fetch_add(count, Relaxed);
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        *self.0.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}
