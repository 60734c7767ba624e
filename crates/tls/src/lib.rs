//! TLS 1.2 and 1.3 over any byte stream: the layer `tls`.
//!
//! [`Tls`] is for a registry: `tls://0.0.0.0:443?cert=c.pem&key=k.pem`, `tls:/run/x.sock?…`, `tls+proxy+tcp://…`. A handler
//! finds what the handshake has shown in [`TlsInfo`]. Certificates can be given by code as well, as an [`Identity`].
//!
//! ```
//! use swapwire_core::{Capabilities, Upgrade};
//! use swapwire_mem::MemNetwork;
//! use swapwire_stack::Stacked;
//! use swapwire_tls::{Identity, Tls};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity::self_signed(&["example.org"])?;
//! let tls = Tls::new().with_identity(identity);
//! assert!(tls.capabilities(Capabilities::byte_stream()).encrypted);
//! let transport = Stacked::new(tls, MemNetwork::new())?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does and does not
//! The protocol is that of `rustls`; its defaults for ciphers hold, nothing older than TLS 1.2 is spoken, and nothing is sent
//! before the handshake is done (0-RTT). An end of the wire below without `close_notify` is an error of reading, as RFC 8446,
//! 6.1 has it. There is no way to switch off the check of a server's certificate: a [pin](Identity::pin) is as short, and safe.
//!
//! With TLS 1.3 a client is connected before the server has looked at its certificate: that it was refused is the error of its
//! first read.
//!
//! # Cost
//! A connection that waits keeps no buffer. What is read from the wire below is read 64 KiB at once into a buffer of the
//! thread, and what is written takes one write there for each 64 KiB. While the peer does not read, a connection keeps what
//! one write has made, at most 66 KiB; while nobody reads here, the plaintext of one read, at most 81 KiB; and of what has not
//! arrived whole, a record, or a message of the handshake, at most 96 KiB. Idle it takes about 4 KiB.
//!
//! # Features
//! `ring` (default) or `aws-lc` does the cryptography; `self-signed` (default) makes certificates; `platform-roots` (default)
//! knows whom the system trusts.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod der;
mod engine;
mod error;
mod files;
mod handshake;
mod info;
mod options;
mod reload;
mod server;
mod stream;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use swapwire_core::{
    Capabilities, Endpoint, OptionDoc, Place, Upgrade, UpgradeClient, UpgradeError, UpgradeServer, async_trait,
};

pub use engine::Identity;
pub use error::TlsError;
pub use info::TlsInfo;
pub use reload::TlsReload;

use client::{Configs, Defaults};
use engine::Roots;
use options::{OPTIONS, ServerOptions, Source};
use server::Server;

/// The layer `tls`. Its clones are one: they share what code gave them, and the sessions that clients resume.
#[derive(Clone, Default)]
pub struct Tls(Arc<Shared>);

#[derive(Default)]
struct Shared {
    identities: Mutex<Vec<Identity>>,
    client: Mutex<Defaults>,
    configs: Configs,
    /// What is served, as far as it still is.
    servers: Mutex<Vec<Weak<Server>>>,
}

impl Tls {
    /// The layer, for which endpoints say everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same layer; its servers have `identity` where their endpoint has no `cert` and is not `self_signed`. The first is for
    /// clients whose name no other is for.
    #[must_use]
    pub fn with_identity(self, identity: Identity) -> Self {
        lock(&self.0.identities).push(identity);
        self
    }

    /// The same layer; its clients show `identity`, if they are asked, where their endpoint has no `cert`.
    #[must_use]
    pub fn with_client_identity(self, identity: Identity) -> Self {
        lock(&self.0.client).identity = Some(identity);
        self.0.configs.clear();
        self
    }

    /// The same layer; its clients trust the certificates of a PEM file, where their endpoint has neither `ca` nor `pin`,
    /// rather than those that the system trusts.
    ///
    /// # Errors
    /// It has none, or one that cannot be read.
    pub fn with_roots(self, pem: &[u8]) -> Result<Self, TlsError> {
        lock(&self.0.client).roots = Some(Roots::from_pem(pem)?);
        self.0.configs.clear();
        Ok(self)
    }

    /// What replaces the certificates of the servers of this layer while they serve.
    pub fn reloader(&self) -> TlsReload {
        TlsReload::new(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("identities", &lock(&self.0.identities)).finish_non_exhaustive()
    }
}

#[async_trait]
impl Upgrade for Tls {
    fn name(&self) -> &'static str {
        "tls"
    }

    fn options(&self) -> &[OptionDoc] {
        OPTIONS
    }

    fn capabilities(&self, mut below: Capabilities) -> Capabilities {
        below.says_goodbye = true;
        below.encrypted = true;
        below
    }

    async fn server(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError> {
        let given = lock(&self.0.identities).clone();
        let options = ServerOptions::read(endpoint, !given.is_empty())?;
        let host = if let Place::Host { host, .. } = endpoint.place() { Some(host.clone()) } else { None };
        let server = on_blocking_thread(move || {
            let given = match options.source {
                Source::Files(_) => None,
                Source::Code => Some(given),
                Source::SelfSigned => Some(vec![self_signed(host.as_deref())?]),
            };
            Server::load(options, given)
        })
        .await?;
        let mut servers = lock(&self.0.servers);
        servers.retain(|server| server.strong_count() > 0);
        servers.push(Arc::downgrade(&server));
        Ok(server)
    }

    async fn client(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError> {
        let defaults = lock(&self.0.client).clone();
        Ok(Arc::new(self.0.configs.client(endpoint, &defaults).await?))
    }
}

#[cfg(feature = "self-signed")]
fn self_signed(host: Option<&str>) -> Result<Identity, TlsError> {
    let names: Vec<_> = ["localhost"].into_iter().chain(host.filter(|host| *host != "localhost")).collect();
    Identity::self_signed(&names)
}

#[cfg(not(feature = "self-signed"))]
fn self_signed(_: Option<&str>) -> Result<Identity, TlsError> {
    Err(TlsError::new("this build makes no certificates: it lacks the feature `self-signed`"))
}

/// Files are read and keys are made where nobody waits for the thread.
async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TlsError> + Send + 'static,
) -> Result<T, UpgradeError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|error| UpgradeError::Unusable(format!("the certificates could not be read: {error}")))??)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
