//! The command, run as users run it: one program, as each test program costs a build of everything that it uses.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod admin;
mod bad_input;
mod balancer;
mod bench;
mod bench_drops;
mod bench_ends;
mod bench_flags;
mod bench_places;
mod bench_ports;
mod bench_terminal;
#[cfg(feature = "nats")]
mod broker;
mod config;
mod connect;
mod full;
mod lists;
mod manager;
mod nats;
mod passed;
mod prometheus;
mod reload;
mod runs;
mod serve;
mod signals;
mod stopped;
mod streams;
mod terminal;
mod units;
