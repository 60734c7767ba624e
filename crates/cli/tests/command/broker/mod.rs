//! Against a real broker of NATS.

#[path = "../../../../../tests/common/broker/mod.rs"]
pub(super) mod real;

mod harness;
