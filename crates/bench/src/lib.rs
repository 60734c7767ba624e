//! Load generation over any swapwire transport, and numbers from it that can be believed.
//!
//! A [`Plan`] names targets, loads and conditions; [`Plan::run`] measures them in interleaved rounds and gives a [`Run`]: a
//! plain value that is written to JSON and read again, tabulated, drawn and compared. The command `swapwire bench` only
//! reads flags and prints what this crate gives.
//!
//! A target is any server that answers requests with replies: it need not be a swapwire server.
//!
//! # What a latency is
//! In a closed loop ([`Load::rate`] is `None`) each connection keeps [`Load::pipeline`] requests under way, and a latency
//! runs from handing the request over to having its whole reply. In an open loop requests have intended times, from a
//! schedule that does not wait for replies, and a latency runs from the *intended* time: a server that stalls shows all the
//! waiting it caused (no coordinated omission).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod analysis;
mod load;
mod plan;
pub mod report;
mod result;

pub use analysis::{Change, CompareError, Comparison, Row, Rule, RuleParseError, Slo, SloParseError, Verdict, compare};
pub use load::{Monitor, Stage, measure_once};
pub use plan::{
    Conditions, Expect, ExpectParseError, Goal, Load, Message, MessageError, Plan, PlanError, ServerKind, Sizes,
    SizesParseError, Target,
};
pub use result::{
    Cell, Faults, Found, LoadInfo, Machine, Probe, Ratio, Round, Run, SCHEMA, Settings, Spectrum, Summary, TargetInfo,
    Usage, Value,
};
