//! Stream sockets that listen.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use async_trait::async_trait;
use socket2::{Domain, SockRef, Socket, Type};
use swapwire_core::{
    Addr, ConnInfo, Credentials, Endpoint, Extensions, Incoming, Link, Listener, Peer, Side, UnixAddr,
};
use swapwire_socket::Stream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

use crate::address::{from_system, resolve, to_endpoint, to_system};
use crate::failure::Failure;
use crate::options::{Buffers, OPTIONS, Options};
use crate::path::{self, BoundPath, Publish};

struct StreamListener {
    // First: unlinked while the socket still lives, see `BoundPath`.
    _path: Option<BoundPath>,
    // Not tokio's own listener: a client can fill `sun_path` to its last byte, and mio 1.2 panics when it accepts such a
    // one, where std does not.
    socket: AsyncFd<UnixListener>,
    addr: UnixAddr,
    endpoint: Endpoint,
    buffers: Buffers,
}

pub(crate) fn bind(endpoint: &Endpoint) -> Result<Box<dyn Listener>, Failure> {
    let options = Options::read(endpoint, OPTIONS, Side::Bind)?;
    let addr = resolve(endpoint)?;
    let endpoint = to_endpoint(&addr, endpoint.scheme())?;
    let (socket, path) = listen(&addr, &options)?;
    // Its successor is `unsafe`, for types that give away descriptors that they do not own; a `UnixListener` owns its own.
    #[allow(deprecated, reason = "the safe constructor")]
    let socket = AsyncFd::with_interest(OwnedFd::from(socket).into(), Interest::READABLE)?;
    Ok(Box::new(StreamListener { _path: path, socket, addr, endpoint, buffers: options.buffers }))
}

fn listen(addr: &UnixAddr, options: &Options) -> Result<(Socket, Option<BoundPath>), Failure> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let Some(path) = addr.as_path() else {
        socket.bind(&to_system(addr)?)?;
        socket.listen(options.backlog)?;
        return Ok((socket, None));
    };
    let (socket, path) = path::bind(socket, path, options.mode, Publish::Listening(options.backlog))?;
    Ok((socket, Some(path)))
}

/// The peer at `addr` with its credentials.
pub(crate) fn identify(stream: &UnixStream, addr: UnixAddr) -> io::Result<Peer> {
    let found = stream.peer_cred()?;
    let credentials = Credentials::new(found.uid(), found.gid(), found.pid());
    Ok(Peer::new(Addr::Unix(addr)).with_extensions(Extensions::new().with(credentials)))
}

#[async_trait]
impl Listener for StreamListener {
    fn local(&self) -> Endpoint {
        self.endpoint.clone()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let (stream, peer) = self.socket.async_io(Interest::READABLE, |socket| socket.accept()).await?;
        let (peer, local, buffers) = (from_system(&peer.into()), Addr::Unix(self.addr), self.buffers);
        Ok(Incoming::pending(Peer::new(Addr::Unix(peer)), async move {
            stream.set_nonblocking(true)?;
            let stream = UnixStream::from_std(stream)?;
            // An accepted socket does not inherit the listener's buffers.
            buffers.apply(SockRef::from(&stream))?;
            let peer = identify(&stream, peer)?;
            Ok(Link::bytes(Stream::new(stream), ConnInfo::new(peer, local)))
        }))
    }
}
