//! Accepting.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use socket2::SockRef;
use swapwire_core::{Addr, ConnInfo, Endpoint, Incoming, Link, Listener, Peer};
use swapwire_socket::Stream;
use tokio::net::{TcpListener, TcpStream};

use crate::SCHEME;
use crate::options::StreamOptions;

/// A listening socket and what its connections get.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: TcpListener,
    local: Endpoint,
    options: StreamOptions,
}

impl Acceptor {
    /// Around a listener that does not block.
    pub(crate) fn new(listener: std::net::TcpListener, options: StreamOptions) -> io::Result<Self> {
        let local = Addr::inet(listener.local_addr()?).to_endpoint(SCHEME).map_err(io::Error::other)?;
        Ok(Self { listener: TcpListener::from_std(listener)?, local, options })
    }

    pub(crate) async fn accept_stream(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept().await
    }

    pub(crate) fn prepare(&self, stream: &TcpStream) -> io::Result<SocketAddr> {
        let local = stream.local_addr()?;
        self.options.apply(&SockRef::from(stream), local)?;
        Ok(local)
    }
}

#[async_trait]
impl Listener for Acceptor {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let (stream, peer) = self.accept_stream().await?;
        let peer = Peer::new(Addr::inet(peer));
        // A peer that is gone already makes the options fail. That is this connection's end, not the listener's.
        Ok(match self.prepare(&stream) {
            Ok(local) => Incoming::ready(link(stream, peer, local)),
            Err(error) => Incoming::pending(peer, std::future::ready(Err(error))),
        })
    }
}

pub(crate) fn link(stream: TcpStream, peer: Peer, local: SocketAddr) -> Link {
    Link::bytes(Stream::new(stream), ConnInfo::new(peer, Addr::inet(local)))
}
