//! NATS: the subjects of a message broker as a wire.
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
