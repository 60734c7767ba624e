//! What a run found out, as it is written to JSON.
//!
//! Units are in the names: `_s` seconds, `_ns` nanoseconds, `_per_s` per second; bytes are payload, without framing and
//! headers. What a name does not say is said here, and `docs/bench-json.md` says it for readers without the source.
//!
//! These are plain values: they know nothing of how they are measured, judged or shown.

mod faults;
mod measures;
mod round;
mod run;
mod spectrum;
mod summary;

pub use faults::Faults;
pub(crate) use faults::OUT_OF_PORTS;
pub use round::{Round, Usage};
pub use run::{Cell, LoadInfo, Machine, Run, SCHEMA, Settings, TargetInfo};
pub use spectrum::Spectrum;
pub use summary::{Found, Probe, Ratio, Summary, Value};
