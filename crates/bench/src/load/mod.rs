//! Load generation: carrying out a plan, or searching for the highest rate at which an objective holds.
//!
//! It knows plans and fills in results; for its searches it asks the analysis whether an objective held.

mod monitor;
mod request;
mod round;
mod run;
mod search;
mod usage;
mod worker;

pub use monitor::{Monitor, Stage};
pub use run::measure_once;
