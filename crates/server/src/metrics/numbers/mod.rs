//! Numbers: what each listener has counted on each worker, and what each worker has to do.

mod counters;
mod listener_stats;
mod worker_load;

pub(crate) use counters::Stats;
pub(super) use counters::Unhealthy;
pub use counters::{Counter, SessionEnd, Snapshot};
pub use listener_stats::ListenerInfo;
pub(crate) use listener_stats::ListenerStats;
pub(crate) use worker_load::{Behind, WorkerLoad};
