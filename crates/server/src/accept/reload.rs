//! Requests to read again what listeners were bound with.

use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering::Relaxed};

/// How often it was asked for, for all listeners of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReloadRequests(Arc<AtomicU64>);

/// What one listener knows of them.
#[derive(Debug)]
pub(crate) struct ReloadWatch {
    requests: ReloadRequests,
    seen: u64,
}

impl ReloadRequests {
    pub(crate) fn ask(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn watch(&self) -> ReloadWatch {
        ReloadWatch { requests: self.clone(), seen: 0 }
    }
}

impl ReloadWatch {
    /// Whether it was asked for since it was last looked, however often.
    pub(crate) fn is_asked(&mut self) -> bool {
        let asked = self.requests.0.load(Relaxed);
        std::mem::replace(&mut self.seen, asked) != asked
    }
}
