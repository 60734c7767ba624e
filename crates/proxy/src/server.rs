//! The half at a server.

use std::io;

use swapwire_core::{ByteStream, Bytes, ConnInfo, Link, Peer, UpgradeServer, async_trait};
use swapwire_stack::Prefixed;
use tokio::io::AsyncReadExt as _;

use crate::header::{Header, ProxyInfo, Version};
use crate::options::Trust;
use crate::parse::{FIXED, LONGEST_ADDRESSES, Parsed, parse};

/// The first read, in bytes: a header without values, and some of what follows it.
const FIRST: usize = 1024;

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) trust: Trust,
    pub(crate) serves_others: bool,
    pub(crate) version: Option<Version>,
    pub(crate) most_tlvs: usize,
}

#[async_trait]
impl UpgradeServer for Server {
    async fn accept(&self, mut io: Box<dyn ByteStream>, mut info: ConnInfo) -> io::Result<Link> {
        if !self.trust.has(info.peer.addr()) {
            return match self.serves_others {
                true => Ok(Link::Bytes { io, info }),
                false => Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "it is not among the proxies of trust=; untrusted=plain serves others, too",
                )),
            };
        }
        let (header, rest) = self.read(&mut io).await?;
        let via = *info.peer.addr();
        if let Some((client, _)) = header.ends {
            info.peer = info.peer.at(client);
        }
        info.peer = info.peer.and(ProxyInfo::new(via, header));
        Ok(if rest.is_empty() { Link::Bytes { io, info } } else { Link::bytes(Prefixed::new(rest, io), info) })
    }

    fn renames(&self, peer: &Peer) -> bool {
        self.trust.has(peer.addr())
    }
}

impl Server {
    /// The header, and what was read behind it.
    async fn read(&self, io: &mut Box<dyn ByteStream>) -> io::Result<(Header, Bytes)> {
        let mut bytes = vec![0; FIRST];
        let mut len = 0;
        loop {
            let read = io.read(&mut bytes[len..]).await?;
            len += read;
            if read == 0 {
                return Err(match len {
                    // A check of somebody who asks whether the port is open.
                    0 => io::Error::new(io::ErrorKind::ConnectionAborted, "it closed without a word"),
                    _ => io::Error::new(io::ErrorKind::UnexpectedEof, "it closed within its PROXY header"),
                });
            }
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            match parse(&bytes[..len], self.version, self.most_tlvs).map_err(invalid)? {
                Parsed::Whole(header, consumed) => {
                    bytes.truncate(len);
                    return Ok((header, Bytes::from(bytes).slice(consumed..)));
                }
                // Its length is known and within the bound, or it is shorter than the first read.
                Parsed::Partial if len == bytes.len() => {
                    bytes.resize(FIXED + LONGEST_ADDRESSES + self.most_tlvs + FIRST, 0)
                }
                Parsed::Partial => {}
            }
        }
    }
}
