//! UDP for swapwire: `udp://host:port`.
//!
//! A bound socket serves many peers in batches; a connected one is a message stream to one peer. An empty datagram is a
//! message. Nothing is promised about arrival, order or the sender's address: see
//! [`Capabilities::datagram`](swapwire_core::Capabilities::datagram).
//!
//! ```
//! use swapwire_core::{Bound, Endpoint, Registry};
//! use swapwire_udp::Udp;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(Udp::new());
//! let Bound::Socket(socket) = registry.bind(&"udp://127.0.0.1:0?recv_buffer=1MiB".parse()?).await? else {
//!     unreachable!("UDP has sockets");
//! };
//! let client = registry.connect(&socket.local()).await?;
//! assert_eq!(client.info().peer.addr().to_endpoint("udp")?, socket.local());
//! # Ok(())
//! # }
//! ```
//!
//! # Addresses
//!
//! * A host is an IP address or a name. A name is resolved by the system (`getaddrinfo(3)`). A server listens on all its
//!   addresses; a client tries them in the order the system gives them, the next when one refuses.
//! * Port 0 binds a free port; `local()` of the socket returns it. A client cannot connect to port 0.
//! * `udp://[::]:port` takes IPv6 alone unless `v6_only=false` is given: `IPV6_V6ONLY` (`ipv6(7)`) is always set. An IPv4
//!   peer of a socket for both shows as IPv4.
//! * A socket bound to a wildcard address (`0.0.0.0`, `[::]`) answers from the address that received the datagram, on Linux
//!   (`IP_PKTINFO`, `ip(7)`; `IPV6_RECVPKTINFO`, `ipv6(7)`). A datagram that came by broadcast or multicast is answered
//!   from an address of the system's choice. By broadcast, one worker of several receives it; at each of the others the
//!   system counts it as dropped ([`drops`](swapwire_core::DatagramSocket::drops)).
//! * A socket bound to a multicast address (`udp://239.1.2.3:port`, `udp://[ff02::1234%eth0]:port`) joins that group, on
//!   the interface that `interface` names, the scope of the address, or the routes lead to (`IP_ADD_MEMBERSHIP`, `ip(7)`;
//!   `IPV6_ADD_MEMBERSHIP`, `ipv6(7)`). It receives what is sent to the group and nothing else, and answers from an address
//!   of its host. No other socket receives from groups. One worker serves it, since the system gives such a datagram to
//!   all.
//! * A socket bound to a broadcast address receives what is sent there, in the same way.
//! * `SO_REUSEADDR` is never set: on UDP it lets a second process take the datagrams of the first (`socket(7)`).
//!
//! # Sizes
//!
//! The largest datagram carries [`MAX_MESSAGE`] bytes: what fits into an IPv4 packet. A larger one, which IPv6 allows by
//! 20 bytes, is marked truncated by a bound socket and is
//! [`RecvError::TooLarge`](swapwire_core::RecvError::TooLarge) at a connected one. Above the path's MTU a datagram
//! travels in fragments and is lost with any of them.
//!
//! # Options
//!
//! [`OPTIONS`] lists them.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bind;
mod bound;
mod dial;
mod engine;
mod inbox;
mod link;
mod open;
mod options;
mod others;
mod server;
mod transport;
mod wire;

#[cfg(all(target_os = "linux", not(swapwire_plain)))]
mod batched;
#[cfg(any(test, not(target_os = "linux"), swapwire_plain))]
mod plain;

#[cfg(test)]
mod tests;

pub use options::OPTIONS;
pub use transport::{SCHEME, Udp};

/// The largest message in bytes: 65,535 less the headers of IPv4 (20) and UDP (8) (`udp(7)`).
pub const MAX_MESSAGE: usize = 65_507;
