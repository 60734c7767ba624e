//! What a header says.

use swapwire_core::Addr;

use crate::tlvs::Tlvs;

/// The version of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One line of text (section 2.1).
    V1,
    /// Binary (section 2.2).
    V2,
}

/// Whom a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The proxy itself, as for a health check: its address is kept. `LOCAL` of version 2, and `UNKNOWN` of version 1.
    Local,
    /// A client of the proxy.
    Proxy,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// How it is written.
    pub version: Version,
    /// Whom the connection is for.
    pub command: Command,
    /// The client, and where it connected to; `None` where the header does not say.
    pub ends: Option<(Addr, Addr)>,
    /// What else it says. Nothing of a [`Command::Local`] is read.
    pub tlvs: Tlvs,
}

impl Header {
    /// For the proxy itself.
    pub fn local(version: Version) -> Self {
        Self { version, command: Command::Local, ends: None, tlvs: Tlvs::default() }
    }

    /// For `client`, who connected to `destination`.
    pub fn proxied(version: Version, client: Addr, destination: Addr) -> Self {
        Self { version, command: Command::Proxy, ends: Some((client, destination)), tlvs: Tlvs::default() }
    }
}

/// Why bytes are no header, or values are none of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HeaderError(pub(crate) &'static str);

/// What the layer learnt of a peer: [`Peer::get`](swapwire_core::Peer::get) gives it. The peer's address is that of the client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProxyInfo {
    /// The proxy.
    pub via: Addr,
    /// Where the client connected to, if the proxy says so.
    pub destination: Option<Addr>,
    /// How the header was written.
    pub version: Version,
    /// Whom the connection is for.
    pub command: Command,
    /// What else the header said.
    pub tlvs: Tlvs,
}

impl ProxyInfo {
    pub(crate) fn new(via: Addr, header: Header) -> Self {
        let Header { version, command, ends, tlvs } = header;
        Self { via, destination: ends.map(|(_, destination)| destination), version, command, tlvs }
    }

    /// The protocol that the client negotiated with the proxy (`PP2_TYPE_ALPN`).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tlvs.get(0x01)
    }

    /// The host name that the client asked the proxy for (`PP2_TYPE_AUTHORITY`).
    pub fn authority(&self) -> Option<&str> {
        std::str::from_utf8(self.tlvs.get(0x02)?).ok()
    }

    /// What the proxy calls the connection (`PP2_TYPE_UNIQUE_ID`).
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.tlvs.get(0x05)
    }
}
