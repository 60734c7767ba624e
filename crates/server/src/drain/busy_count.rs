//! How many are busy, and when the last one is not.

use crate::sync::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(crate) struct BusyCount(AtomicUsize);

impl BusyCount {
    pub(crate) fn new(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }

    pub(crate) fn one_more(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether that was the last one.
    pub(crate) fn one_less(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}
