//! The load generator on real sockets, in real time, against servers that are not ours: it reports what they did.
//!
//! Where the time matters, the servers write down what they did, so that what the scheduler added is part of the truth; and
//! what is added on the way back is bounded generously. `scripts/truth` is strict, on a quiet machine.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

#[path = "bench_truth/bench.rs"]
mod bench;
#[path = "bench_truth/bottleneck.rs"]
mod bottleneck;
#[path = "bench_truth/datagrams.rs"]
mod datagrams;
#[path = "bench_truth/endings.rs"]
mod endings;
#[path = "bench_truth/foreign.rs"]
mod foreign;
#[path = "bench_truth/odd.rs"]
mod odd;
#[path = "bench_truth/servers.rs"]
mod servers;
#[path = "bench_truth/times.rs"]
mod times;
