//! The two kinds of sockets that are connected: byte streams, and messages in order with an end (`unix(7)`).

use std::io;
use std::os::unix::net::UnixStream;

use socket2::{Domain, Socket, Type};
use swapwire_core::{Capabilities, ConnInfo, Link, OptionDoc};
use swapwire_socket::{Descriptor, Stream};

use crate::options::OPTIONS;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::{options::SEQ_OPTIONS, seq::Seq};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bytes,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Messages,
}

impl Kind {
    pub(crate) const fn capabilities(self) -> Capabilities {
        let mut capabilities = match self {
            Self::Bytes => Capabilities::byte_stream(),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Messages => Seq::CAPABILITIES,
        };
        capabilities.peer_credentials = true;
        capabilities
    }

    pub(crate) const fn options(self) -> &'static [OptionDoc] {
        match self {
            Self::Bytes => OPTIONS,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Messages => SEQ_OPTIONS,
        }
    }

    /// One that neither waits nor has a name.
    pub(crate) fn new_socket(self) -> io::Result<Socket> {
        let socket = match self {
            Self::Bytes => Socket::new(Domain::UNIX, Type::STREAM, None)?,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Messages => Seq::new_socket()?,
        };
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// The link over a socket that is connected.
    pub(crate) fn link(self, socket: UnixStream, info: ConnInfo) -> io::Result<Link> {
        match self {
            Self::Bytes => Ok(Link::bytes(Stream::new(Descriptor::new(socket)), info)),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Messages => Ok(Link::messages(Seq::new(socket)?, info)),
        }
    }
}
