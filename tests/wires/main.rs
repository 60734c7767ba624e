//! Every handler over every wire: one program, as each test program costs a build of everything that it uses.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "admin")]
mod admin;
mod apply;
mod classics;
mod cross_transport;
mod endpoints;
mod interop;
mod junk;
mod lines;
mod passed;
mod replies;
mod seqpacket;
mod sessions;
mod textbook;
mod workers;
