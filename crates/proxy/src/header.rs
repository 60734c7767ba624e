//! What a header says.

use swapwire_core::{Addr, Bytes};

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
    /// The proxy itself, as for a health check: its address is kept.
    Local,
    /// A client of the proxy.
    Proxy,
}

/// One of the values behind the addresses of a header of version 2 (section 2.2): its type and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlv {
    /// The type, `PP2_TYPE_…`.
    pub kind: u8,
    /// The value.
    pub value: Bytes,
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
    /// What else it says, in its order. Those of a [`Command::Local`] are not read.
    pub tlvs: Vec<Tlv>,
}

impl Header {
    /// For the proxy itself.
    pub const fn local(version: Version) -> Self {
        Self { version, command: Command::Local, ends: None, tlvs: Vec::new() }
    }

    /// For `client`, who connected to `destination`.
    pub const fn proxied(version: Version, client: Addr, destination: Addr) -> Self {
        Self { version, command: Command::Proxy, ends: Some((client, destination)), tlvs: Vec::new() }
    }
}

/// Why bytes are no header.
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
    tlvs: Vec<Tlv>,
}

impl ProxyInfo {
    pub(crate) fn new(via: Addr, header: Header) -> Self {
        let Header { version, command, ends, tlvs } = header;
        Self { via, destination: ends.map(|(_, destination)| destination), version, command, tlvs }
    }

    /// What else the header said, in its order.
    pub fn tlvs(&self) -> &[Tlv] {
        &self.tlvs
    }

    /// The first value of a type.
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs.iter().find(|tlv| tlv.kind == kind).map(|tlv| &*tlv.value)
    }

    /// The protocol that the client negotiated with the proxy (`PP2_TYPE_ALPN`).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tlv(0x01)
    }

    /// The host name that the client asked the proxy for (`PP2_TYPE_AUTHORITY`).
    pub fn authority(&self) -> Option<&str> {
        std::str::from_utf8(self.tlv(0x02)?).ok()
    }

    /// What the proxy calls the connection (`PP2_TYPE_UNIQUE_ID`).
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.tlv(0x05)
    }
}
