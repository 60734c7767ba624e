//! Layers: protocols over byte streams.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{ByteStream, Capabilities, ConnInfo, Endpoint, Link, OptionDoc, Peer, UpgradeError, Upkeep};

/// A protocol over a byte stream, as TLS: it stands on any transport that has one, and on other layers.
///
/// An author writes what the protocol does with one connection. Schemes, options, groups of workers, the drain, the errors'
/// endpoints and the deadline of a handshake are the same for all layers, and `swapwire-stack` has them.
///
/// # Contract
/// 1. What it learns about the peer is added ([`Peer::and`](crate::Peer::and)), and what is known from below is kept
///    (`testkit::laws::peer_info_stacks`).
/// 2. A handshake takes its bytes in whatever pieces they come (`handshake_sliced`), and what came behind its last byte is the
///    first that the link gives (`handshake_then_data_in_one_write`).
/// 3. Its links keep the contract of [`ByteStream`] or [`MessageStream`](crate::MessageStream), and are what
///    [`Upgrade::capabilities`] says.
///
/// # Implementing
/// `examples/layer.rs` of the `swapwire` package is a whole one.
#[async_trait]
pub trait Upgrade: Send + Sync + 'static {
    /// Its part of a scheme, in lower case: `tls` in `tls+unix`.
    fn name(&self) -> &'static str;

    /// Its options. They stand in one query with those of what is below, so that no two may have the same name.
    fn options(&self) -> &[OptionDoc] {
        &[]
    }

    /// What its wires can do, over one that can do `below` and is a byte stream. The default: what that can.
    fn capabilities(&self, below: Capabilities) -> Capabilities {
        below
    }

    /// Its half for a bind of `endpoint`, which has its own options alone, checked for what is unknown, misplaced or missing.
    /// Called before anything is bound; files are read off the runtime's threads.
    ///
    /// # Errors
    /// The options do not fit, or what they name cannot be used.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing behind.
    async fn server(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError>;

    /// Its half for a connect to `endpoint`, which has its own options alone, checked as for [`Upgrade::server`]. Called before
    /// anything is connected.
    ///
    /// # Errors
    /// The options do not fit, or what they name cannot be used.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing behind.
    async fn client(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError>;
}

/// A layer's half at a server: one for all connections of all workers of an endpoint.
#[async_trait]
pub trait UpgradeServer: Send + Sync + 'static {
    /// Runs the handshake on an accepted stream. It runs in the session's task, under the server's deadline for the handshakes
    /// of the whole stack.
    ///
    /// # Errors
    /// The connection is over. [`InvalidData`](io::ErrorKind::InvalidData) for what the protocol does not accept;
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) for a peer that closed without a word, as health checks do, which
    /// a server logs at the level `debug`.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    async fn accept(&self, io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link>;

    /// What a client has to write to reach this server, beyond what it was bound with: names and values of its options, as the
    /// key that the client is to trust.
    fn dial_options(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Whether [`accept`](Self::accept) gives a stream from `peer` the address of somebody else, for whom it speaks: then the
    /// server's limits for each source are for that one. The default is that it does not.
    fn renames(&self, peer: &Peer) -> bool {
        let _ = peer;
        false
    }

    /// As [`Listener::reloads`](crate::Listener::reloads).
    fn reloads(&self) -> bool {
        false
    }

    /// As [`Listener::reload`](crate::Listener::reload). Each worker asks, within a second: what is being read already need
    /// not be read twice.
    fn reload(&self) {}

    /// As [`Listener::upkeep`](crate::Listener::upkeep); one of a group is told what is new.
    fn upkeep(&self) -> Option<Upkeep> {
        None
    }
}

/// A layer's half at a client.
#[async_trait]
pub trait UpgradeClient: Send + Sync + 'static {
    /// Runs the handshake on a connected stream, under the deadline of the stack.
    ///
    /// # Errors
    /// As of [`UpgradeServer::accept`].
    ///
    /// # Cancel safety
    /// Dropping it closes the connection.
    async fn connect(&self, io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link>;
}
