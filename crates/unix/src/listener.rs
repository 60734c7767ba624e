//! Stream sockets that listen.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
#[cfg(any(target_os = "linux", target_os = "android"))]
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use socket2::{SockRef, Socket};
use swapwire_core::{Addr, ConnInfo, Credentials, Endpoint, Incoming, Listener, Peer, Side, UnixAddr, Upkeep};
use swapwire_socket::{Buffers, Listening, tell_backlog};
use tokio::io::unix::AsyncFd;

use crate::address::{bound_to, from_system, resolve, to_endpoint, to_system};
use crate::failure::Failure;
use crate::kind::Kind;
use crate::options::Options;
use crate::path::BoundPath;
use crate::rule::Rule;
use crate::watch::Watched;

struct StreamListener {
    kind: Kind,
    // First: unlinked while the socket is still open, see `BoundPath`. By the last member of a group.
    place: Option<Arc<Mutex<GroupPath>>>,
    // Not tokio's own listener: a client can fill `sun_path` to its last byte, and mio 1.2 panics when it accepts such a
    // one, where std does not.
    socket: Listening<AsyncFd<UnixListener>>,
    /// Which of the place's sockets that is.
    generation: u64,
    /// The one before, whose file has gone, until no connection waits there any more.
    former: Option<UnixListener>,
    addr: UnixAddr,
    endpoint: Endpoint,
    buffers: Buffers,
    /// The users and groups that may connect: one rule for all members.
    rule: Arc<Rule>,
    /// Whether others hold a descriptor of the same socket.
    shared: bool,
    /// Whether a member refuses new connections, and with it all: then nothing is bound again.
    refuses: Arc<AtomicBool>,
}

/// A path, and the socket that is bound to it, which all members of a group share.
struct GroupPath {
    // First, see `BoundPath`.
    path: Watched,
    /// The socket that was bound when the file of the one before had gone.
    newest: Option<UnixListener>,
    /// How often that happened.
    generation: u64,
}

/// So many listeners of one socket, at least one.
pub(crate) fn bind(kind: Kind, endpoint: &Endpoint, members: usize) -> Result<Vec<Box<dyn Listener>>, Failure> {
    let options = Options::read(endpoint, kind.options(), Side::Bind)?;
    let addr = resolve(endpoint)?;
    let (socket, path) = listen(kind, &addr, &options)?;
    tell_backlog(endpoint, options.backlog);
    Place { kind, endpoint, options: &options, addr }.listeners(socket, path, members)
}

/// The same of a socket that another program opened and that listens.
pub(crate) fn adopt(
    kind: Kind,
    endpoint: &Endpoint,
    socket: Socket,
    members: usize,
) -> Result<Vec<Box<dyn Listener>>, Failure> {
    let options = Options::read(endpoint, kind.options(), Side::Bind)?;
    let addr = bound_to(&socket)?;
    socket.set_nonblocking(true)?;
    Place { kind, endpoint, options: &options, addr }.listeners(socket, None, members)
}

/// What is served, and how.
struct Place<'a> {
    kind: Kind,
    endpoint: &'a Endpoint,
    options: &'a Options,
    addr: UnixAddr,
}

impl Place<'_> {
    /// Listeners of `socket`, which listens at it.
    fn listeners(
        self,
        socket: Socket,
        path: Option<BoundPath>,
        members: usize,
    ) -> Result<Vec<Box<dyn Listener>>, Failure> {
        let Self { kind, endpoint, options, addr } = self;
        // Accepted sockets do not inherit these: here they show what those will get.
        options.buffers.apply(&SockRef::from(&socket))?;
        options.buffers.tell_bound(endpoint, &SockRef::from(&socket));
        let endpoint = to_endpoint(&addr, endpoint.scheme())?;
        let socket = UnixListener::from(OwnedFd::from(socket));
        let place = path.map(|path| GroupPath { path: Watched::new(path), newest: None, generation: 0 });
        let place = place.map(|place| Arc::new(Mutex::new(place)));
        let rule = Rule::new(&options.allowed);
        if addr.as_path().is_none() && !rule.exists() {
            tracing::warn!(%endpoint, "every user of this host can connect to an abstract name: allow_uid=self admits this user alone");
        }
        let rule = Arc::new(rule);
        let refuses = Arc::default();
        let member = |socket| StreamListener {
            kind,
            place: place.clone(),
            socket: Listening::new(socket),
            generation: 0,
            former: None,
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
}

fn listen(kind: Kind, addr: &UnixAddr, options: &Options) -> Result<(Socket, Option<BoundPath>), Failure> {
    let socket = kind.new_socket()?;
    let Some(path) = addr.as_path() else {
        socket.bind(&to_system(addr)?)?;
        socket.listen(options.backlog.backlog())?;
        return Ok((socket, None));
    };
    let (socket, path) = BoundPath::bind(socket, path, options.access, Some(options.backlog.backlog()))?;
    Ok((socket, Some(path)))
}

impl StreamListener {
    fn incoming(&self, stream: UnixStream, peer: SocketAddr) -> Incoming {
        let (peer, local, buffers) = (from_system(&peer.into()), Addr::Unix(self.addr), self.buffers);
        let kind = self.kind;
        let rule = Arc::clone(&self.rule);
        Incoming::pending(Peer::new(Addr::Unix(peer)), async move {
            stream.set_nonblocking(true)?;
            // An accepted socket does not inherit the listener's buffers.
            buffers.apply(&SockRef::from(&stream))?;
            let peer = identify(&stream, peer)?;
            rule.check(peer.get())?;
            kind.link(stream, ConnInfo::new(peer, local))
        })
    }

    /// Takes up the socket that a member has bound anew, if there is one. Connections that wait at the one before are still
    /// accepted, and only then is another one taken up.
    fn take_up(&mut self, place: &GroupPath) {
        if let Some(newest) = &place.newest
            && self.generation != place.generation
            && self.former.is_none()
            && let Ok(socket) = newest.try_clone()
        {
            let before = std::mem::replace(&mut self.socket, Listening::new(socket));
            self.former = Some(before.into_inner());
            self.generation = place.generation;
        }
    }
}

fn lock(place: &Mutex<GroupPath>) -> MutexGuard<'_, GroupPath> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The peer at `addr` with its credentials.
pub(crate) fn identify(stream: &UnixStream, addr: UnixAddr) -> io::Result<Peer> {
    Ok(Peer::new(Addr::Unix(addr)).and(credentials(stream)?))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn credentials(stream: &UnixStream) -> io::Result<Credentials> {
    let found = getsockopt(stream, PeerCredentials)?;
    Ok(Credentials::new(found.uid(), found.gid(), Some(found.pid())))
}

/// Each system has a call of its own, and tokio knows them.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn credentials(stream: &UnixStream) -> io::Result<Credentials> {
    let found = tokio::net::UnixStream::from_std(stream.try_clone()?)?.peer_cred()?;
    Ok(Credentials::new(found.uid(), found.gid(), found.pid()))
}

#[async_trait]
impl Listener for StreamListener {
    fn local(&self) -> Endpoint {
        self.endpoint.clone()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        if let Some(former) = &self.former {
            match former.accept() {
                Ok((stream, peer)) => return Ok(self.incoming(stream, peer)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.former = None,
                Err(error) => return Err(error),
            }
        }
        let (stream, peer) = self.socket.accept(UnixListener::accept).await?;
        Ok(self.incoming(stream, peer))
    }

    /// Linux only: elsewhere, what waits could not be accepted any more.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn refuse_arrivals(&mut self) -> io::Result<()> {
        let place = self.place.clone();
        // While it is held, no member binds anew; afterwards they see that connections are refused.
        let place = place.as_ref().map(|place| lock(place));
        if let Some(place) = &place {
            self.take_up(place);
        }
        self.refuses.store(true, Relaxed);
        SockRef::from(self.socket.get_ref()).shutdown(Shutdown::Read)
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        let shared = self.place.clone()?;
        let mut place = lock(&shared);
        if self.refuses.load(Relaxed) {
            return Some(Upkeep::unchanged(place.path.is_reachable()));
        }
        // A member that still has to take up another socket does that first, so that no connection that waits there is lost.
        if self.generation != place.generation {
            self.take_up(&place);
            return Some(Upkeep::unchanged(place.path.is_there()));
        }
        let (socket, found) = place.path.look(|| self.kind.new_socket());
        if let Some(socket) = socket {
            place.newest = Some(OwnedFd::from(socket).into());
            place.generation += 1;
            self.take_up(&place);
        }
        Some(found)
    }

    fn shares_queue(&self) -> bool {
        self.shared
    }
}
