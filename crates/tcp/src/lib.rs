//! TCP for swapwire: `tcp://host:port`.
//!
//! ```
//! use swapwire_core::{Bound, Endpoint, Registry};
//! use swapwire_tcp::Tcp;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(Tcp::new());
//! let Bound::Listener(mut listener) = registry.bind(&"tcp://127.0.0.1:0?backlog=16".parse()?).await? else {
//!     unreachable!("TCP has listeners");
//! };
//! let client = registry.connect(&listener.local()).await?;
//! let server = listener.accept().await?.establish().await?;
//! assert_eq!(client.info().local, *server.info().peer.addr());
//! # Ok(())
//! # }
//! ```
//!
//! # Addresses
//!
//! * A host is an IP address or a name. A name is resolved by the system (`getaddrinfo(3)`). A server listens on all its
//!   addresses; a client tries them in the order the system gives them.
//! * Port 0 binds a free port; `local()` of the listener returns it. A client cannot connect to port 0.
//! * `tcp://[::]:port` takes IPv6 alone unless `v6_only=false` is given: `IPV6_V6ONLY` (`ipv6(7)`) is always set, so that
//!   the machine's default does not matter. An IPv4 peer of a socket for both shows as IPv4.
//!
//! # Options
//!
//! [`OPTIONS`] lists them. `SO_REUSEADDR` is set on listeners of Unix systems, so that a restart does not wait for old
//! connections in `TIME_WAIT`; it does not allow a second listener on a port that is listened on (`socket(7)`).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod listener;
mod options;
mod transport;

#[cfg(test)]
mod tests;

pub use options::OPTIONS;
pub use transport::{SCHEME, Tcp};
