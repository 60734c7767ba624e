//! The limit: a client and a server by hand on epoll and plain sockets, with nothing but CPU time in mind.
//!
//! They are what swapwire's generator and server are measured against, and not an example to follow: no limits, no
//! deadlines, no framing, no drain. The server has loops that are no limit beside it, to compare with. `scripts/limit` and
//! `scripts/generator-cost` run them. Linux alone.

#![cfg(target_os = "linux")]

mod client;
mod message;
mod mmsg;
mod server;
mod usage;
mod wire;

pub use client::{Load, Report, run};
pub use message::SHORTEST;
pub use server::{How, Server, Tls, switch, until_the_end};
pub use usage::pin;
pub use wire::Wire;
