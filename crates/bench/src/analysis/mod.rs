//! Analysis: from rounds to findings, objectives, and two runs compared.
//!
//! It reads results and fills in what follows from them. It measures nothing and knows no plan.

mod compare;
mod evaluate;
#[cfg(test)]
pub(crate) mod samples;
mod slo;
mod stats;
pub(crate) mod words;

pub use compare::{Change, CompareError, Comparison, Row, Rule, RuleParseError, Verdict, compare};
pub use slo::{Slo, SloParseError};
