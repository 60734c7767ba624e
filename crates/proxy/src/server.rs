//! The half at a server.

use std::io;

use swapwire_core::{ByteStream, Bytes, ConnInfo, Link, Peer, UpgradeServer, async_trait};
use swapwire_stack::Prefixed;
use tokio::io::AsyncReadExt as _;

use crate::header::{Header, ProxyInfo, Version};
use crate::options::Trust;
use crate::parse::{FIXED, LONGEST_ADDRESSES, parse};

/// The first read, in bytes: most headers, and some of what follows them.
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

    fn dial_options(&self) -> Vec<(&'static str, String)> {
        // What a client sends without the option is version 2.
        let is_first = self.version == Some(Version::V1);
        is_first.then(|| ("version", "1".to_owned())).into_iter().collect()
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
            let read = match io.read(&mut bytes[len..]).await {
                // A check of somebody who asks whether the port is open ends in either way.
                Ok(0) if len == 0 => return Err(without_a_word()),
                Err(error) if len == 0 && error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(without_a_word());
                }
                Ok(0) => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed within its PROXY header"));
                }
                read => read?,
            };
            len += read;
            let parsed = parse(&bytes[..len], self.version, self.most_tlvs);
            if let Some((header, consumed)) =
                parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            {
                bytes.truncate(len);
                return Ok((header, Bytes::from(bytes).slice(consumed..)));
            }
            if len == bytes.len() {
                bytes.resize(FIXED + LONGEST_ADDRESSES + self.most_tlvs, 0);
            }
        }
    }
}

fn without_a_word() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "it closed without a word")
}
