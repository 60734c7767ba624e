//! The server on memory networks: one program, as each test program costs a build of everything that it uses.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

mod accept;
mod apply;
mod budget;
mod composition;
mod connection_permits;
mod counted;
mod datagrams;
mod deadlines;
mod drain_turns;
mod fence;
mod forged;
mod framed;
mod goodbye;
mod handle;
mod handshakes;
mod hostile;
mod incidents;
mod lending;
mod listeners;
mod local_task_set;
mod message_batches;
mod own_service;
mod partial_messages;
mod pieces;
mod places;
mod reload;
mod session_events;
mod stacked;
mod stateful;
mod stopped;
mod streams;
mod successors;
mod trains;
mod upkeep;
mod withheld;
mod workers;
