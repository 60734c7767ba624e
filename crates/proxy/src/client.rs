//! The half at a client, which is the proxy.

use std::io;
use std::net::SocketAddr;

use swapwire_core::{Addr, ByteStream, ConnInfo, Link, UpgradeClient, async_trait};
use tokio::io::AsyncWriteExt as _;

use crate::encode;
use crate::header::{Header, Version};

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) version: Version,
    /// For whom it speaks, and where that one connected to, if not where this connection goes.
    pub(crate) ends: Option<(SocketAddr, Option<SocketAddr>)>,
    pub(crate) checksum: bool,
}

#[async_trait]
impl UpgradeClient for Client {
    async fn connect(&self, mut io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        let header = encode(&self.header(info.peer.addr())?, self.checksum);
        // At once, as the specification asks for: it fits into any segment.
        io.write_all(&header).await?;
        io.flush().await?;
        Ok(Link::Bytes { io, info })
    }
}

impl Client {
    fn header(&self, server: &Addr) -> io::Result<Header> {
        let Some((client, destination)) = self.ends else { return Ok(Header::local(self.version)) };
        let destination = match (destination, server) {
            (Some(destination), _) => destination,
            (None, Addr::Inet(server)) if server.is_ipv4() == client.is_ipv4() => *server,
            (None, server) => {
                let text = format!("client={client} and {server} are of different kinds: add destination=HOST:PORT");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        Ok(Header::proxied(self.version, Addr::Inet(client), Addr::Inet(destination)))
    }
}
