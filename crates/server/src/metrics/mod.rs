//! What is counted, what is logged, and which endpoints are unhealthy.

mod accept_health;
mod incidents;
mod log_limiter;
mod numbers;
mod report;
mod upkeep;

pub(crate) use accept_health::AcceptHealth;
pub(crate) use incidents::{Incident, IncidentLog, Logged};
pub(crate) use log_limiter::LogLimiter;
pub(crate) use numbers::{Behind, ListenerStats, Serving, Stats, WorkerLoad};
pub use numbers::{Counter, ListenerInfo, PrometheusText, SessionEnd, Snapshot};
pub use report::DrainReport;
pub(crate) use upkeep::UpkeepTimer;
