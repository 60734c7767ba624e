//! Wires: what transports and layers implement. Listeners, links of bytes or messages, datagram sockets.
//!
//! A wire uses names, errors, framings that it brings, and the replies that it gathers for sending; it uses neither sessions nor
//! handlers.

mod batch;
mod capabilities;
mod datagram;
mod link;
mod listener;
mod transport;
mod upgrade;
mod upkeep;

pub use batch::{RecvBatch, SendBatch, SendEntry, Train, TrainLimits};
pub use capabilities::{Capabilities, Shape};
pub use datagram::{Arrivals, DatagramSocket, Offload, RecvMeta};
pub use link::{ByteStream, ConnInfo, Link, MessageStream};
pub use listener::{Incoming, Listener, WireLayers};
pub use transport::{Bound, Transport};
pub use upgrade::{Upgrade, UpgradeClient, UpgradeServer};
pub use upkeep::Upkeep;
