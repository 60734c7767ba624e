//! Accepting connections: one loop for each listener, and which connections it takes.

mod accept_balancing;
mod admission;
mod connection_task;
mod listener_loop;
mod reload;

pub(crate) use accept_balancing::{AcceptBalance, balance};
pub(crate) use admission::{Arrival, framed};
pub(crate) use listener_loop::{ListenerMember, serve_listener};
pub(crate) use reload::ReloadRequests;
