//! The PROXY protocol, versions 1 and 2: a proxy writes one header before the bytes of its client, which says who that is.
//!
//! [`Proxy`] is a layer: `proxy+tcp://0.0.0.0:80?trust=10.0.0.0/8`, `tls+proxy+tcp://…`. A handler sees the client's address as
//! its peer's, and finds the rest in [`ProxyInfo`]; limits for each source are for the client. The rules are those of the
//! specification, `doc/proxy-protocol.txt` of HAProxy; section numbers here are its own.
//!
//! # Whom to believe
//! Whoever may write a header may be anybody, so a server has to be told who may: the option `trust` is required, and nothing is
//! guessed from the bytes (section 2: a receiver "must not try to guess whether the protocol header is present or not"). From
//! those a header is demanded. Others are refused, or with `untrusted=plain` served as they are, and their bytes are not looked
//! at.
//!
//! # Cost
//! The header is taken from the first read, with a bound, and what was read behind it is given to the layer above first. A
//! connection whose header arrives in one piece has one more read than without, and none of its messages costs a system call
//! more.

mod encode;
mod header;
mod options;
mod parse;
mod server;

use std::io;
use std::sync::Arc;

use swapwire_core::{
    ByteStream, ConnInfo, Endpoint, Link, OptionDoc, Upgrade, UpgradeClient, UpgradeError, UpgradeServer, async_trait,
};
use tokio::io::AsyncWriteExt as _;

pub use encode::encode;
pub use header::{Command, Header, HeaderError, ProxyInfo, Tlv, Version};
pub use parse::{Parsed, parse};

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

/// The half at a client, which is the proxy.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) version: Version,
    /// For whom it speaks, and where that one connected to, if not where this connection goes.
    pub(crate) ends: Option<(std::net::SocketAddr, Option<std::net::SocketAddr>)>,
    pub(crate) checksum: bool,
}

#[async_trait]
impl UpgradeClient for Client {
    async fn connect(&self, mut io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        let header = self.header(&info)?;
        io.write_all(&header).await?;
        io.flush().await?;
        Ok(Link::Bytes { io, info })
    }
}

impl Client {
    fn header(&self, info: &ConnInfo) -> io::Result<Vec<u8>> {
        use swapwire_core::Addr;
        let Some((client, destination)) = self.ends else {
            return Ok(encode(&Header::local(self.version), self.checksum));
        };
        let destination = match (destination, info.peer.addr()) {
            (Some(destination), _) => destination,
            (None, Addr::Inet(peer)) if peer.is_ipv4() == client.is_ipv4() => *peer,
            (None, peer) => {
                let text = format!("client={client} and {peer} are of different kinds: add destination=HOST:PORT");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        Ok(encode(&Header::proxied(self.version, Addr::Inet(client), Addr::Inet(destination)), self.checksum))
    }
}
