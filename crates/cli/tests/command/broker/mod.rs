//! Against a real broker of NATS.

#[path = "../../../../../tests/common/broker/mod.rs"]
mod real;

mod harness;
