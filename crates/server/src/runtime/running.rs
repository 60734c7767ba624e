//! A server in a task.

use swapwire_core::Endpoint;
use tokio::task::JoinHandle;

use super::handle::ServerHandle;
use crate::metrics::{DrainReport, ListenerInfo, Snapshot};

/// A server that runs in a task. Dropping it closes everything, without a drain, as soon as the runtime gets to it.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Running {
    pub(super) handle: ServerHandle,
    pub(super) task: JoinHandle<DrainReport>,
}

impl Running {
    /// A handle of the server, which may be cloned and given away.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// As [`ServerHandle::local_endpoints`].
    pub fn local_endpoints(&self) -> Vec<Endpoint> {
        self.handle.local_endpoints()
    }

    /// As [`ServerHandle::snapshot`].
    pub fn snapshot(&self) -> Snapshot {
        self.handle.snapshot()
    }

    /// As [`ServerHandle::snapshots`].
    pub fn snapshots(&self) -> Vec<(ListenerInfo, Snapshot)> {
        self.handle.snapshots()
    }

    /// As [`ServerHandle::worker_snapshots`].
    pub fn worker_snapshots(&self) -> Vec<Snapshot> {
        self.handle.worker_snapshots()
    }

    /// As [`ServerHandle::unhealthy`].
    pub fn unhealthy(&self) -> Vec<Endpoint> {
        self.handle.unhealthy()
    }

    /// Drains and reports.
    ///
    /// # Panics
    /// If the server's task panicked, which no handler can cause.
    ///
    /// # Cancel safety
    /// Dropping it is dropping the server.
    pub async fn stop(mut self) -> DrainReport {
        self.handle.stop();
        match (&mut self.task).await {
            Ok(report) => report,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
