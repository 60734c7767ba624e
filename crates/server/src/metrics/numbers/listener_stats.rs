//! The numbers of one listener.

use std::sync::Arc;

use swapwire_core::{Endpoint, Shape};

use super::counters::{Snapshot, Stats};
use crate::Limits;

/// What a listener is, beside its numbers: of [`ServerHandle::snapshots`](crate::ServerHandle::snapshots).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerInfo {
    /// [What it is called](crate::Listen::named). Listeners without a name may be called the same, as two of
    /// `tcp://127.0.0.1:0`.
    pub name: String,
    /// The scheme of its endpoint, with those of its layers: `tcp`, `tls+tcp`.
    pub transport: String,
    /// What was really bound, as [`local_endpoints`](crate::ServerHandle::local_endpoints): several of a host name with
    /// several addresses.
    pub endpoints: Vec<Endpoint>,
    /// The shape of its wires.
    pub shape: Shape,
    /// Its bounds and deadlines.
    pub limits: Arc<Limits>,
    /// How many sockets it has: each endpoint one for each worker that serves it.
    pub sockets: usize,
    /// Whether newcomers reach it: each of its sockets is served, and none is
    /// [unhealthy](crate::ServerHandle::unhealthy). Not before the server runs.
    pub is_up: bool,
}

/// One listener, and what each worker has counted of it.
#[derive(Debug)]
pub(crate) struct ListenerStats {
    info: ListenerInfo,
    /// Of each worker, in their order.
    workers: Vec<Arc<Stats>>,
}

impl ListenerStats {
    pub(crate) fn new(info: ListenerInfo, workers: usize) -> Self {
        Self { info, workers: (0..workers).map(|_| Arc::default()).collect() }
    }

    /// Those of a listener that goes on as `info`.
    pub(crate) fn continued(&self, info: ListenerInfo) -> Self {
        Self { info, workers: self.workers.clone() }
    }

    /// Whether `other` counts the same.
    pub(crate) fn is_continued_by(&self, other: &Self) -> bool {
        self.workers.iter().zip(&other.workers).any(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// Whether anything still counts.
    pub(crate) fn are_in_use(&self) -> bool {
        self.workers.iter().any(|stats| Arc::strong_count(stats) > 1)
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.info.name
    }

    /// What it is now.
    pub(crate) fn info(&self) -> ListenerInfo {
        let serving: usize = self.workers.iter().map(|stats| stats.healthy_loops()).sum();
        ListenerInfo { is_up: serving == self.info.sockets, ..self.info.clone() }
    }

    /// What one worker counts.
    pub(crate) fn of_worker(&self, worker: usize) -> &Arc<Stats> {
        &self.workers[worker]
    }

    /// What each worker has counted.
    pub(crate) fn workers(&self) -> &[Arc<Stats>] {
        &self.workers
    }

    /// The sum of all workers'.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Stats::total(&self.workers)
    }
}

#[cfg(test)]
impl Default for ListenerStats {
    /// Of a listener that is not there.
    fn default() -> Self {
        let info = ListenerInfo {
            name: String::new(),
            transport: String::new(),
            endpoints: Vec::new(),
            shape: Shape::ByteStream,
            limits: Arc::default(),
            sockets: 0,
            is_up: false,
        };
        Self::new(info, 0)
    }
}
