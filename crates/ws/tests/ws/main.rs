//! The layer, without a server.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod conformance;
mod dial;
mod limits;
mod options;
mod oracle;
mod pieces;
mod rules;
mod sending;
mod upgrade;
