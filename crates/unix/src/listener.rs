//! Stream sockets that listen.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

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
use crate::rule::Rule;

struct StreamListener {
    // First: unlinked while the socket still lives, see `BoundPath`. By the last member of a group.
    _path: Option<Arc<BoundPath>>,
    socket: Registered,
    addr: UnixAddr,
    endpoint: Endpoint,
    buffers: Buffers,
    /// Who may connect: one for all members.
    rule: Arc<Rule>,
    /// Whether others hold a descriptor of the same socket.
    shared: bool,
    /// Whether nobody is let in any more, by any member.
    refuses: Arc<AtomicBool>,
}

/// A socket belongs to the runtime on which it is first polled, which need not be the one that bound it.
enum Registered {
    NotYet(UnixListener),
    // Not tokio's own listener: a client can fill `sun_path` to its last byte, and mio 1.2 panics when it accepts such a
    // one, where std does not.
    With(AsyncFd<UnixListener>),
}

impl Registered {
    fn polled(&mut self) -> io::Result<&AsyncFd<UnixListener>> {
        if let Self::NotYet(listener) = self {
            // A duplicate, because what cannot be registered is closed, and a later accept may have more luck.
            let socket = listener.try_clone()?;
            // Its successor is `unsafe`, for types that give away descriptors that they do not own; a `UnixListener` owns
            // its own.
            #[allow(deprecated, reason = "the safe constructor")]
            let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
            *self = Self::With(socket);
        }
        match self {
            Self::With(socket) => Ok(socket),
            Self::NotYet(_) => Err(io::ErrorKind::Interrupted.into()),
        }
    }
}

/// So many listeners of one socket, at least one.
pub(crate) fn bind(endpoint: &Endpoint, members: usize) -> Result<Vec<Box<dyn Listener>>, Failure> {
    let options = Options::read(endpoint, OPTIONS, Side::Bind)?;
    let addr = resolve(endpoint)?;
    let endpoint = to_endpoint(&addr, endpoint.scheme())?;
    let (socket, path) = listen(&addr, &options)?;
    let (socket, path) = (UnixListener::from(OwnedFd::from(socket)), path.map(Arc::new));
    let rule = Rule::new(&options.allowed);
    if addr.as_path().is_none() && !rule.exists() {
        tracing::warn!(%endpoint, "every user of this host can connect to an abstract name: allow_uid=self keeps others out");
    }
    let rule = Arc::new(rule);
    let refuses = Arc::default();
    let member = |socket| StreamListener {
        _path: path.clone(),
        socket: Registered::NotYet(socket),
        addr,
        endpoint: endpoint.clone(),
        buffers: options.buffers,
        rule: Arc::clone(&rule),
        shared: members > 1,
        refuses: Arc::clone(&refuses),
    };
    let mut group: Vec<Box<dyn Listener>> = Vec::with_capacity(members);
    for _ in 1..members {
        group.push(Box::new(member(socket.try_clone()?)));
    }
    group.push(Box::new(member(socket)));
    Ok(group)
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
        let refuses = &self.refuses;
        let accept = |socket: &UnixListener| match socket.accept() {
            // For tokio, a socket that is shut down is ready for good.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && refuses.load(Relaxed) => Ok(None),
            accepted => accepted.map(Some),
        };
        let accepted = self.socket.polled()?.async_io(Interest::READABLE, accept).await?;
        let Some((stream, peer)) = accepted else { return std::future::pending().await };
        let (peer, local, buffers) = (from_system(&peer.into()), Addr::Unix(self.addr), self.buffers);
        let rule = Arc::clone(&self.rule);
        Ok(Incoming::pending(Peer::new(Addr::Unix(peer)), async move {
            stream.set_nonblocking(true)?;
            let stream = UnixStream::from_std(stream)?;
            // An accepted socket does not inherit the listener's buffers.
            buffers.apply(SockRef::from(&stream))?;
            let peer = identify(&stream, peer)?;
            rule.check(peer.get())?;
            Ok(Link::bytes(Stream::new(stream), ConnInfo::new(peer, local)))
        }))
    }

    /// Linux only: elsewhere, what waits could not be accepted any more.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn refuse_arrivals(&mut self) -> io::Result<()> {
        let socket = match &self.socket {
            Registered::NotYet(listener) => SockRef::from(listener),
            Registered::With(listener) => SockRef::from(listener.get_ref()),
        };
        self.refuses.store(true, Relaxed);
        socket.shutdown(Shutdown::Read)
    }

    fn shares_queue(&self) -> bool {
        self.shared
    }
}
