//! Wires: what a transport implements. Listeners, links of bytes or messages, datagram sockets, and the registry of them.
//!
//! A wire uses names, errors, and the replies that it gathers for sending; it uses neither sessions nor handlers.

mod batch;
mod capabilities;
mod datagram;
mod link;
mod listener;
mod registry;
mod transport;
mod upkeep;

pub use batch::{RecvBatch, SendBatch, SendEntry, Train, TrainLimits};
pub use capabilities::{Capabilities, Shape};
pub use datagram::{DatagramSocket, Offload, RecvMeta};
pub use link::{ByteStream, ConnInfo, Link, MessageStream};
pub use listener::{Incoming, Listener};
pub use registry::Registry;
pub use transport::{Bound, Transport};
pub use upkeep::Upkeep;
