//! The in-memory transport of swapwire, in all three shapes.
//!
//! [`MemNetwork`] is a network of its own: an ordinary value, shared by its clones. Endpoints are names on it.
//!
//! | scheme | shape | bounds |
//! | --- | --- | --- |
//! | `mem:name` | byte stream | 64 KiB in flight each way |
//! | `mem-seq:name` | message stream | messages of at most 1 MiB, 16 in flight each way |
//! | `mem-dgram:name` | datagram | datagrams of at most 65,536 bytes, 256 in each inbox |
//!
//! The three schemes are separate namespaces. A name has at most 100 bytes; names that begin with `#` are reserved for
//! clients.
//!
//! ```
//! use swapwire_core::{Bound, Registry, Session, SessionConfig};
//! use swapwire_mem::MemNetwork;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(MemNetwork::new());
//! let Bound::Listener(mut listener) = registry.bind(&"mem:greeter".parse()?).await? else { unreachable!() };
//!
//! let client = registry.connect(&listener.local()).await?;
//! let server = listener.accept().await?.establish().await?;
//!
//! let mut client = Session::new(client, SessionConfig::default());
//! let mut server = Session::new(server, SessionConfig::default());
//! client.send("hello").await?;
//! client.flush().await?;
//! assert_eq!(server.recv().await?.unwrap(), "hello");
//! # Ok(())
//! # }
//! ```
//!
//! It spawns nothing, reads no clock and needs no runtime of its own: any executor will do. It is the reference
//! implementation, written against the public API of `swapwire-core` alone.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod names;

mod hub;
mod listener;
mod network;

mod datagram;
mod seq;
mod stream;

pub use network::MemNetwork;
