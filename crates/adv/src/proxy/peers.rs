//! A datagram socket that many share, and who they are.

use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use socket2::{SockAddr, SockRef};
use tokio::io::Interest;
use tokio::net::{UdpSocket, UnixDatagram};

/// Receives from anybody.
#[derive(Debug)]
pub(super) enum Shared {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// Who sent a datagram.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Peer {
    Udp(SocketAddr),
    /// A path, or a name that begins with a zero byte.
    Unix(Vec<u8>),
    /// Somebody without an address, who cannot be answered.
    Nobody,
}

impl Shared {
    pub(super) async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, Peer)> {
        match self {
            Self::Udp(socket) => socket.recv_from(buffer).await.map(|(len, peer)| (len, Peer::Udp(peer))),
            Self::Unix(socket) => {
                let (len, peer) = socket.recv_from(buffer).await?;
                let peer = std::os::unix::net::SocketAddr::from(peer);
                let name = || peer.as_abstract_name().map(|name| [b"\0", name].concat());
                let path = || peer.as_pathname().map(|path| path.as_os_str().as_bytes().to_vec());
                Ok((len, name().or_else(path).map_or(Peer::Nobody, Peer::Unix)))
            }
        }
    }

    pub(super) async fn send_to(&self, message: &[u8], peer: &Peer) -> io::Result<()> {
        match (self, peer) {
            (Self::Udp(socket), Peer::Udp(to)) => socket.send_to(message, to).await.map(drop),
            (Self::Unix(socket), Peer::Unix(name)) => {
                let to = SockAddr::unix(Path::new(std::ffi::OsStr::from_bytes(name)))?;
                let send = || SockRef::from(socket).send_to(message, &to).map(drop);
                socket.async_io(Interest::WRITABLE, send).await
            }
            _ => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    /// The address, where the system may have chosen a part of it.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp(socket) => socket.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}
