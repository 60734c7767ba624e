//! Load generation over any swapwire transport, and numbers from it that can be believed.
//!
//! A [`Plan`] names targets, loads and conditions; [`Plan::run`] measures them in interleaved rounds and gives a [`Run`]: a
//! plain value that is written to JSON and read again, tabulated, drawn and compared. The command `swapwire bench` is a
//! thin skin over this crate.
//!
//! Who is measured is anybody who answers requests with replies: it need not be a swapwire server.
//!
//! # What a latency is
//! In a closed loop ([`Load::rate`] is `None`) each connection keeps [`Load::pipeline`] requests under way, and a latency runs
//! from handing the request over to having its whole reply. In an open loop requests have intended times, from a schedule
//! that does not wait for replies, and a latency runs from the *intended* time: a server that stalls shows all the waiting
//! it caused (no coordinated omission).

mod check;
mod compare;
mod evaluate;
mod expect;
mod message;
mod model;
mod payload;
mod plan;
pub mod report;
mod round;
mod run;
mod schedule;
mod search;
mod sizes;
mod slo;
mod spectrum;
mod stats;
mod tally;
mod usage;
mod watch;
mod worker;

pub use compare::{Change, CompareError, Comparison, Row, Rule, RuleParseError, Verdict, compare};
pub use expect::{Expect, ExpectParseError};
pub use message::{Message, MessageError};
pub use model::{
    Cell, Faults, Found, LoadInfo, Machine, Probe, Ratio, Round, Run, SCHEMA, Settings, Summary, TargetInfo, Usage,
    Value,
};
pub use plan::{Conditions, Goal, Load, Plan, PlanError, ServerKind, Target};
pub use run::measure_once;
pub use sizes::{Sizes, SizesParseError};
pub use slo::{Slo, SloParseError};
pub use spectrum::Spectrum;
pub use watch::{Stage, Watch};
