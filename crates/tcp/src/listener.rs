//! Accepting.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, SocketAddr};

use async_trait::async_trait;
#[cfg(target_os = "linux")]
use socket2::SockFilter;
use socket2::SockRef;
use swapwire_core::{Addr, ConnInfo, Endpoint, ErrorClass, Incoming, Link, Listener, Peer, classify_accept};
use swapwire_socket::{Listening, Stream};
use tokio::net::{TcpListener, TcpStream};

use crate::SCHEME;
use crate::options::StreamOptions;

/// A listening socket and what its connections get.
#[derive(Debug)]
pub(crate) struct Acceptor {
    socket: Listening<TcpListener>,
    local: Endpoint,
    /// The address of every connection; `None` where each has its own, as at a wildcard address.
    address: Option<SocketAddr>,
    options: StreamOptions,
    /// Whether others hold a descriptor of the same socket.
    shared: bool,
    /// Whether other processes may listen on the same port, by sockets of their own.
    has_neighbours: bool,
    /// What waited when it left such a port; `None` before.
    last: Option<LastArrivals>,
}

/// Connections that a listener took at once. At most [`MOST_TAKEN`].
#[derive(Debug, Default)]
struct LastArrivals {
    taken: VecDeque<(std::net::TcpStream, SocketAddr)>,
    /// Whether nobody comes any more.
    closed: bool,
}

/// Accepted connections hold descriptors, those that wait in the system's queue none: as many as a drain serves of one listener.
const MOST_TAKEN: usize = 4096;

/// A filter of segments (`socket(7)`, `SO_ATTACH_FILTER`) that drops those that would begin a connection. Handshakes under way
/// come to their end, and the connections that inherit it have no such segments.
#[cfg(target_os = "linux")]
const DROP_SYN: [SockFilter; 4] = {
    const fn step(code: u32, jump_if_not: u8, operand: u32) -> SockFilter {
        SockFilter::new(code as u16, 0, jump_if_not, operand)
    }
    // Of the TCP header (RFC 9293, section 3.1).
    const FLAGS: u32 = 13;
    const SYN: u32 = 2;
    [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, FLAGS),
        step(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 1, SYN),
        step(libc::BPF_RET | libc::BPF_K, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, u32::MAX),
    ]
};

impl Acceptor {
    /// Around a listener that does not block.
    pub(crate) fn new(listener: std::net::TcpListener, options: StreamOptions) -> io::Result<Self> {
        let bound = listener.local_addr()?;
        let local = Addr::inet(bound).to_endpoint(SCHEME).map_err(io::Error::other)?;
        let address = (!bound.ip().is_unspecified()).then_some(bound);
        Ok(Self {
            socket: Listening::new(listener),
            local,
            address,
            options,
            shared: false,
            has_neighbours: false,
            last: None,
        })
    }

    /// Other processes may listen on the same port: when this one drains, they take who comes.
    pub(crate) fn with_neighbours(mut self, has_neighbours: bool) -> Self {
        self.has_neighbours = has_neighbours;
        self
    }

    pub(crate) fn socket(&self) -> SockRef<'_> {
        self.socket.socket()
    }

    /// So many acceptors of this one's socket, this one included.
    pub(crate) fn share(mut self, members: usize) -> io::Result<Vec<Self>> {
        let mut all = Vec::with_capacity(members);
        for _ in 1..members {
            let (socket, local) = (self.socket.try_clone()?, self.local.clone());
            all.push(Self { socket, local, shared: true, last: None, ..self });
        }
        self.shared = members > 1;
        all.push(self);
        Ok(all)
    }

    pub(crate) async fn accept_stream(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        if let Some(last) = &mut self.last {
            if let Some((stream, peer)) = last.taken.pop_front() {
                return Ok((TcpStream::from_std(stream)?, peer));
            }
            if last.closed {
                return std::future::pending().await;
            }
        }
        self.socket.accept().await
    }

    /// Takes what waits, and closes the socket for who comes. It stays open where not everything can be taken.
    fn leave_port(&mut self) -> bool {
        let last = self.last.get_or_insert_default();
        let socket = self.socket.socket();
        for _ in 0..MOST_TAKEN {
            match socket.accept() {
                Ok((stream, peer)) => {
                    let stream = std::net::TcpStream::from(stream);
                    // One that cannot be made ready to be served, or has no IP address, is this connection's end.
                    if let (Ok(()), Some(peer)) = (stream.set_nonblocking(true), peer.as_socket()) {
                        last.taken.push_back((stream, peer));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    last.closed = socket.shutdown(Shutdown::Read).is_ok();
                    break;
                }
                Err(error) if classify_accept(&error) == ErrorClass::ListenerTransient => {}
                // No descriptor is left: the others wait until there is one.
                Err(_) => break,
            }
        }
        last.closed
    }
}

#[async_trait]
impl Listener for Acceptor {
    fn local(&self) -> Endpoint {
        self.local.clone()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let (stream, peer) = self.accept_stream().await?;
        let (peer, address, options) = (Peer::new(Addr::inet(peer)), self.address, self.options);
        if self.shared {
            // Another member may be the one that serves it.
            let stream = stream.into_std()?;
            return Ok(Incoming::pending(peer.clone(), async move {
                let stream = TcpStream::from_std(stream)?;
                let local = prepare(&stream, address, options)?;
                Ok(link(stream, peer, local))
            }));
        }
        // A peer that is gone already makes the options fail. That is this connection's end, not the listener's.
        Ok(match prepare(&stream, address, options) {
            Ok(local) => Incoming::ready(link(stream, peer, local)),
            Err(error) => Incoming::pending(peer, std::future::ready(Err(error))),
        })
    }

    fn refuse_arrivals(&mut self) -> io::Result<()> {
        if self.has_neighbours && self.leave_port() {
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        self.socket.socket().attach_filter(&DROP_SYN)?;
        Ok(())
    }

    fn shares_queue(&self) -> bool {
        self.shared
    }
}

pub(crate) fn prepare(
    stream: &TcpStream,
    address: Option<SocketAddr>,
    options: StreamOptions,
) -> io::Result<SocketAddr> {
    let local = address.map_or_else(|| stream.local_addr(), Ok)?;
    options.apply(&SockRef::from(stream), local)?;
    Ok(local)
}

pub(crate) fn link(stream: TcpStream, peer: Peer, local: SocketAddr) -> Link {
    Link::bytes(Stream::new(stream), ConnInfo::new(peer, Addr::inet(local)))
}
