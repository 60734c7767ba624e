//! WebSocket (RFC 6455) over any byte stream: the layer `ws`, whose wires carry messages.
//!
//! [`Ws`] is for a registry: `ws://127.0.0.1:8080/chat`, `ws:/run/x.sock`, `ws+tls+tcp://…`. A handler finds what the request has told
//! in [`WsInfo`].
//!
//! ```
//! use swapwire_core::{Link, Registry};
//! use swapwire_mem::MemNetwork;
//! use swapwire_stack::WithLayer as _;
//! use swapwire_ws::{Ws, WsInfo};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().with(MemNetwork::new()).with_layer(Ws::new());
//! let swapwire_core::Bound::Listener(mut listener) = registry.bind(&"ws+mem:here?path=/chat".parse()?).await? else {
//!     return Err("not a listener".into());
//! };
//! // A query stands in the path: `/chat?room=1`.
//! let dial = "ws+mem:here?path=/chat%3Froom=1".parse()?;
//! let accept = async { listener.accept().await?.establish().await };
//! let (client, server) = tokio::join!(registry.connect(&dial), accept);
//! assert!(matches!((&client?, &server), (Link::Framed { .. }, Ok(Link::Framed { .. }))));
//! let server = server?;
//! let info = server.info().peer.get::<WsInfo>().ok_or("nothing is known")?;
//! assert_eq!((info.path(), info.query()), ("/chat", Some("room=1")));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does and does not
//! All of RFC 6455 but extensions: nothing is compressed. The codec is its own ([`WsFrames`]). A peer's text is checked while it
//! arrives; what is wrong about a frame is told at its first wrong byte, before its payload is waited for. An end of the
//! wire below without a close frame is an error.
//!
//! # Which pages may connect
//! A browser lets every page connect to every server, and says whose page it is (RFC 6455, 10.2). Refused is whatever has an origin,
//! unless `origin` lists it, or it is of the same host: its host and port are those that it connects to, and that host is an IP
//! address, `localhost`, or one of `host`; a name that an attacker leads here would else agree with itself. What says no origin
//! is no browser, and may connect.
//!
//! # Bounds
//! A head of HTTP has at most 8 KiB and 64 headers; it has to come within the server's `handshake_timeout`, in whatever pieces. For
//! what is kept of a connection see [`WsFrames`] and [`WsInfo`]: while it waits, less than 256 bytes more than TCP.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod codec;
mod error;
mod handshake;
mod info;
mod options;
mod origin;
mod target;

use std::fmt;
use std::sync::Arc;

use swapwire_core::{
    Bytes, Capabilities, Endpoint, OptionDoc, Shape, Upgrade, UpgradeClient, UpgradeError, UpgradeServer, async_trait,
};

pub use codec::{MessageKind, WsFrames};
pub use error::WsError;
pub use info::WsInfo;

/// The layer `ws`.
#[derive(Clone, Default)]
pub struct Ws {
    headers: Vec<(String, String)>,
    page: Option<Bytes>,
}

impl Ws {
    /// The layer, for which endpoints say everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same layer; requests of its clients have these headers, as one with a token, beside those of the handshake.
    ///
    /// # Errors
    /// One cannot be a header, or is the handshake's own: those that begin with `Sec-WebSocket-`, `Host`, `Origin`,
    /// `Connection`, `Upgrade`, and what announces a body.
    pub fn with_headers<N: Into<String>, V: Into<String>>(
        mut self,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, WsError> {
        for (name, value) in headers {
            self.headers.push(error::checked(name.into(), value.into())?);
        }
        Ok(self)
    }

    /// The same layer; its servers answer a plain request for their path with this page, which a browser shows. It may use
    /// scripts and styles that stand in it, and connect to its own host.
    #[must_use]
    pub fn with_page(mut self, html: impl Into<Bytes>) -> Self {
        self.page = Some(handshake::page(&html.into()));
        self
    }
}

impl fmt::Debug for Ws {
    /// Without the values of headers, among which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Ws").field("headers", &names).field("page", &self.page.is_some()).finish()
    }
}

#[async_trait]
impl Upgrade for Ws {
    fn name(&self) -> &'static str {
        "ws"
    }

    fn options(&self) -> &[OptionDoc] {
        options::OPTIONS
    }

    fn capabilities(&self, mut below: Capabilities) -> Capabilities {
        below.shape = Shape::MessageStream;
        below.half_close = false;
        below.max_message = None;
        below.says_goodbye = true;
        below
    }

    async fn server(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError> {
        Ok(Arc::new(options::server(endpoint, self.page.clone())?))
    }

    async fn client(&self, endpoint: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError> {
        Ok(Arc::new(options::client(endpoint, &self.headers)?))
    }
}
