//! The layer, without a server.
#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;
mod headers;
mod options;
mod round_trip;
mod server;
