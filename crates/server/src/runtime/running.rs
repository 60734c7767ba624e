//! A server in a task.

use std::sync::Arc;

use swapwire_core::Endpoint;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::metrics::{DrainReport, Snapshot, Stats};

/// A server that runs in a task. Dropping it closes everything, without a drain, as soon as the runtime gets to it.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Running {
    pub(crate) endpoints: Vec<Endpoint>,
    /// Of each worker.
    pub(crate) stats: Vec<Arc<Stats>>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<DrainReport>,
}

impl Running {
    /// What was really bound: [`Server::local_endpoints`](crate::Server::local_endpoints).
    pub fn local_endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The counters now, of all workers.
    pub fn snapshot(&self) -> Snapshot {
        Stats::total(&self.stats)
    }

    /// The counters of each worker now, in their order; of one, where there are no
    /// [workers](crate::ServerBuilder::workers).
    pub fn worker_snapshots(&self) -> Vec<Snapshot> {
        self.stats.iter().map(|stats| stats.snapshot()).collect()
    }

    /// Endpoints that newcomers do not get through to; each is logged as an error when that begins. Listeners that have
    /// failed to accept for 10 s, without one success; and listeners and datagram sockets whose place was taken away: a
    /// socket's file was removed and cannot be made again, or another program's is there (see
    /// [`Upkeep`](swapwire_core::Upkeep)). One that is well again, or has failed for good (see [`DrainReport::failed`]), is
    /// not among them.
    pub fn unhealthy(&self) -> Vec<Endpoint> {
        Stats::unhealthy(&self.stats)
    }

    /// Drains and reports.
    ///
    /// # Panics
    /// If the server's task panicked, which no handler can cause.
    ///
    /// # Cancel safety
    /// Dropping it is dropping the server.
    pub async fn stop(mut self) -> DrainReport {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
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
