//! The PROXY protocol, versions 1 and 2: a proxy writes one header before the bytes of its client, which says who that is.
//!
//! [`Proxy`] is a layer: `proxy+tcp://0.0.0.0:80?trust=10.0.0.0/8`, `tls+proxy+tcp://…`. A handler sees the client's address as
//! its peer's, and finds the rest in [`ProxyInfo`]; limits for each source are for the client. A client of such an endpoint is
//! the proxy, and sends the header: `proxy+tcp://127.0.0.1:80?client=192.0.2.1:1234`. The rules are those of the specification,
//! `doc/proxy-protocol.txt` of HAProxy; section numbers here are its own.
//!
//! ```
//! use std::sync::Arc;
//! use swapwire_core::{Registry, Session, SessionConfig, Upgrade as _};
//! use swapwire_mem::MemNetwork;
//! use swapwire_proxy::{Proxy, ProxyInfo};
//! use swapwire_stack::WithLayer as _;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(MemNetwork::new()).with_layer(Proxy::new());
//! let swapwire_core::Bound::Listener(mut listener) = registry.bind(&"proxy+mem:here?trust=mem".parse()?).await? else {
//!     return Err("not a listener".into());
//! };
//! let dial = "proxy+mem:here?client=192.0.2.1:1234&destination=192.0.2.2:80".parse()?;
//! let (_client, incoming) = tokio::join!(registry.connect(&dial), listener.accept());
//! let server = incoming?.establish().await?;
//! let peer = &server.info().peer;
//! assert_eq!(peer.addr().to_string(), "192.0.2.1:1234");
//! let info = peer.get::<ProxyInfo>().ok_or("no header")?;
//! assert_eq!(info.destination.ok_or("it does not say")?.to_string(), "192.0.2.2:80");
//! # Ok(())
//! # }
//! ```
//!
//! # Whom to believe
//! Whoever may write a header may be anybody, so a server has to be told who may: the option `trust` is required, and nothing is
//! guessed from the bytes (section 2: a receiver "must not try to guess whether the protocol header is present or not"). From
//! those a header is demanded: what is none ends the connection at the first wrong byte. Others are refused, or with
//! `untrusted=plain` served as they are, and their bytes are not looked at.
//!
//! # Bounds
//! A header has at most 107 bytes in version 1; in version 2, 16, its addresses (at most 216) and `max_tlvs`. It has to come
//! within the server's `handshake_timeout`, in whatever pieces.
//!
//! # Cost
//! The header is taken from the first read, with a bound, and what was read behind it is given to the layer above first. A
//! connection whose header arrives in one piece has one more read than without, and none of its messages costs a system call
//! more.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod client;
mod encode;
mod header;
mod line;
mod options;
mod parse;
mod server;
mod tlvs;

use std::sync::Arc;

use swapwire_core::{Endpoint, OptionDoc, Upgrade, UpgradeClient, UpgradeError, UpgradeServer, async_trait};

pub use encode::encode;
pub use header::{Command, Header, HeaderError, ProxyInfo, Version};
pub use parse::parse;
pub use tlvs::Tlvs;

/// The layer `proxy`. A value without state: all of them are equal.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Proxy;

impl Proxy {
    /// The layer.
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Upgrade for Proxy {
    fn name(&self) -> &'static str {
        "proxy"
    }

    fn options(&self) -> &[OptionDoc] {
        options::OPTIONS
    }

    async fn server(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError> {
        Ok(Arc::new(options::server(endpoint)?))
    }

    async fn client(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError> {
        Ok(Arc::new(options::client(endpoint)?))
    }
}
