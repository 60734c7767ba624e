//! What is counted, what is logged, and which endpoints are unhealthy.

mod accept_health;
mod counters;
mod incidents;
mod log_limiter;
mod report;
mod upkeep;

pub(crate) use accept_health::AcceptHealth;
pub(crate) use counters::{Behind, Stats};
pub use counters::{Counter, SessionEnd, Snapshot};
pub(crate) use incidents::{Incident, IncidentLog, Logged};
pub(crate) use log_limiter::LogLimiter;
pub use report::DrainReport;
pub(crate) use upkeep::UpkeepTimer;
