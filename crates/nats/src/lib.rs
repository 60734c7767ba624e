//! NATS: the subjects of a message broker as a wire.
//!
//! [`Nats`] is for a registry: `nats://127.0.0.1:4222/orders.new?queue=workers`. A server subscribes to the subject and answers to the
//! reply subject of each message; members of a queue group share the messages, on whatever hosts they run. A client sends requests
//! with reply subjects of their own.
//!
//! ```
//! use swapwire_core::{Registry, Transport};
//! use swapwire_mem::MemNetwork;
//! use swapwire_nats::Nats;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Over memory, as tests have it; over TCP it is `Nats::over(Tcp::new()).with_tls(Tls::new())`.
//! let nats = Nats::over(MemNetwork::new());
//! nats.check(&"nats:broker?path=orders.new&queue=workers".parse()?).await?;
//! let error = Registry::new().with(nats).bind(&"nats:broker?path=orders.new".parse()?).await.unwrap_err();
//! assert!(error.to_string().contains("no broker there: connection refused"));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does and does not
//! The core protocol (<https://docs.nats.io/reference/reference-protocols/nats-protocol>), by a client of its own; no JetStream, no
//! key-value store, no service API. Messages are delivered at most once, and a queue group does not keep their order. Headers of
//! messages are skipped. The subject has no wildcards: a handler is not told by which subject a message came.
//!
//! The wire is not [spoofable](swapwire_core::Capabilities::spoofable): whoever asks chooses the reply subject, which names nobody outside
//! the broker, whose permissions govern it. Nor are its [peers stable](swapwire_core::Capabilities::stable_peers).
//!
//! # Brokers
//! Those of the endpoint and its option `servers` are tried in that order, then, unless `discover=false`, those that a broker names.
//! Each has `connect_timeout` to accept the client: to say `INFO`, to speak TLS on the same stream, and to answer `CONNECT` and
//! `PING`. With `tls=true` or an option of TLS, one without TLS is an error; else TLS is spoken where the broker asks for it.
//!
//! Credentials stand in files (`user_file`, `token_file`, `creds`), which are read for each connection. One that every user can read is
//! refused, unless `key_mode=any`. No error, no log and no `Debug` has a byte of them.
//!
//! # Bounds
//! A line of a broker has at most 64 KiB before it has accepted. An endpoint names at most 64 brokers, and they at most 64 more. What
//! is received and waits is bounded by the option `pending`, in bytes.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod connection;
mod credentials;
mod dial;
mod info;
mod options;
mod proto;
mod socket;
mod subject;
mod transport;

pub use transport::Nats;

/// The scheme of NATS endpoints.
pub const SCHEME: &str = "nats";
/// What an address of the scheme begins with.
const SCHEME_PREFIX: &[u8] = b"nats:";
/// The longest message that is received, in bytes, and that is sent where the broker says nothing else (`max_payload`).
const MAX_MESSAGE: usize = 1 << 20;
