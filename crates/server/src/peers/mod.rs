//! Serving a datagram socket with a session handler: a session for each peer.

mod left;
mod peer_table;
mod peer_wire;
mod session_loop;

pub(crate) use session_loop::{OUTGOING, serve_peers};
