//! An adversary for servers, ours or not.
//!
//! `adv` is a client that does to a server what peers on a network do: it holds, drips, floods, resets, lies, never reads;
//! and [`adv verify`](adv) is the judge that tells whether every reply was right meanwhile. [`faultproxy`] stands between a
//! client and a server and does what networks do. `README.md` has the tables. Linux alone.

#![cfg(target_os = "linux")]

mod asking;
mod cli;
mod common;
mod crowd;
mod datagram;
mod dial;
mod exchange;
mod failures;
mod judge;
mod limits;
mod modes;
mod proxy;
mod report;
mod spread;
mod stream;
mod tagged;
mod target;
mod values;
mod verify;

pub use cli::adv;
pub use proxy::faultproxy;
