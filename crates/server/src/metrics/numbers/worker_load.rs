//! How much a worker has to do, as its deadlines and its drain see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What all loops of one worker have to do, of whatever listener.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WorkerLoad {
    /// Connections that are served.
    open: AtomicUsize,
    /// Loops that have not received all that waits in their socket.
    behind: AtomicUsize,
}

impl WorkerLoad {
    /// A connection is served from now on.
    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Relaxed);
    }

    /// A connection that was served is closed.
    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Connections that are served.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Whether a loop has not received all that waits in its socket.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Relaxed) > 0
    }
}

/// Whether the loop of a socket has not received all that waits there.
#[derive(Debug)]
pub(crate) struct Behind {
    load: Arc<WorkerLoad>,
    is: bool,
}

impl Behind {
    pub(crate) fn new(load: &Arc<WorkerLoad>) -> Self {
        Self { load: Arc::clone(load), is: false }
    }

    /// Says so.
    pub(crate) fn set(&mut self, is: bool) {
        match (std::mem::replace(&mut self.is, is), is) {
            (false, true) => self.load.behind.fetch_add(1, Relaxed),
            (true, false) => self.load.behind.fetch_sub(1, Relaxed),
            _ => 0,
        };
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.set(false);
    }
}
