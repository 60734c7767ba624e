//! Numbers: what each listener has counted on each worker, and what each worker has to do.

mod counters;
mod families;
mod listener_stats;
mod process;
mod prometheus;
mod stats;
mod worker_load;

pub(crate) use counters::Stats;
pub(super) use counters::Unhealthy;
pub use counters::{Counter, SessionEnd, Snapshot};
pub use listener_stats::ListenerInfo;
pub(crate) use listener_stats::ListenerStats;
pub use prometheus::PrometheusText;
pub(crate) use stats::Serving;
pub(crate) use worker_load::{Behind, WorkerLoad};
