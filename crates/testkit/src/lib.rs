//! The laws of swapwire as tests that any transport's author can run.
//!
//! How a transport's author uses it, and the list of the laws, are in this crate's `README.md`.
//!
//! * [`Suite`]: runs every law against a transport, prints a line for each, and panics if one is broken.
//! * [`laws`]: the laws themselves, each a public function.
//! * [`payload`] and [`check`]: bytes that show whether they arrived as they left.
//! * [`Sliced`]: a byte stream that moves as few bytes at a time as the rules allow.
//! * [`Faulty`]: any transport with the [`Faults`] that a seed decides; [`Dice`]: such decisions.
//! * [`drop_after`]: drops a future at an await of choice.
//!
//! The suite needs a tokio runtime with a running clock (not a paused one) and uses nothing of a transport but
//! `swapwire-core`'s public traits. It is a development dependency: nothing here belongs in a server.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cancel;
mod client;
mod context;
mod dice;
mod echo;
mod elsewhere;
mod faults;
pub mod laws;
mod payload;
mod report;
mod sliced;
mod stop;
mod suite;
mod tap;
mod wire;

pub use cancel::{drop_after, drop_after_eager};
pub use context::Context;
pub use dice::Dice;
pub use faults::{FaultEvent, FaultKind, FaultSwitch, Faults, Faulty};
pub use laws::{LAWS, Law};
pub use payload::{check, payload};
pub use report::{Report, Verdict};
pub use sliced::Sliced;
pub use stop::{Outcome, Stop};
pub use suite::Suite;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
