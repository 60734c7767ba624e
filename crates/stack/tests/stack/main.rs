//! Stacks of layers that note what is asked of them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod handshakes;
mod options;
mod prefixed;
mod stacks;
