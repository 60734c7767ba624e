//! The layer, without a server.
#![allow(clippy::unwrap_used, reason = "tests")]

mod certificates;
mod common;
mod conformance;
mod reload;
