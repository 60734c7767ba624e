//! Upper-case echo from one thread.

mod datagrams;
mod end;
mod how;
mod plain;
mod seqpacket;
mod streams;
mod tls;
mod tokio_echo;
mod ws;

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};

use anyhow::Context as _;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, listen, setsockopt, socket, sockopt};

pub use end::until_the_end;
pub use how::How;
pub use tls::Tls;
pub use ws::switch;

use crate::Wire;

/// What a UDP socket has to receive into: as much as ours by default. 64 clients with 16 short requests each take 1.5 MiB.
const UDP_RECV_BUFFER: usize = 4 * 1024 * 1024;
/// The other buffers of datagram sockets.
const BUFFERS: usize = 2 * 1024 * 1024;

/// A bound server.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
    local: Wire,
    how: How,
    tls: Option<Tls>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    Udp(UdpSocket),
    UnixDgram(UnixDatagram),
    UnixSeq(UnixListener),
    Ws(TcpListener),
}

impl Server {
    /// Binds. A Unix path must be free.
    ///
    /// # Errors
    /// The address is in use or not ours, or there is no such loop for this wire.
    pub fn bind(wire: &Wire, how: How) -> anyhow::Result<Self> {
        how.check(wire)?;
        let (socket, local) = bind(wire, how).with_context(|| format!("bind {wire}"))?;
        Ok(Self { socket, local, how, tls: None })
    }

    /// The same server under TLS, on streams.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Where it listens: where port 0 was asked for, the port.
    pub fn local(&self) -> &Wire {
        &self.local
    }

    /// Serves until something fails.
    ///
    /// # Errors
    /// Waiting, accepting or receiving failed. What fails on one connection ends that connection.
    pub fn run(self) -> anyhow::Result<()> {
        match self.socket {
            socket if self.how == How::Tokio => tokio_echo::serve(socket),
            Socket::Tcp(listener) => serve_streams(&listener, || tcp(&listener), self.tls),
            Socket::Unix(listener) => serve_streams(&listener, || unix(&listener), self.tls),
            Socket::UnixSeq(listener) => {
                let credentials = self.how == How::Limit;
                let accept = || {
                    let socket = unix(&listener)?;
                    setsockopt(&socket, sockopt::PassCred, &credentials)?;
                    Ok(socket)
                };
                streams::serve(&listener, accept, || Ok(seqpacket::Messages::new(credentials)))
            }
            Socket::Ws(listener) => streams::serve(&listener, || tcp(&listener), || Ok(ws::Session::default())),
            Socket::Udp(socket) if self.how == How::Plain => {
                plain::serve(|buffer| socket.recv_from(buffer), |message, peer| socket.send_to(message, peer))
            }
            Socket::UnixDgram(socket) if self.how == How::Plain => {
                let receive = |buffer: &mut [u8]| socket.recv_from(buffer);
                plain::serve(receive, |message, peer| socket.send_to_addr(message, peer))
            }
            Socket::Udp(socket) => datagrams::serve(&socket.into(), self.how.trains()),
            Socket::UnixDgram(socket) => datagrams::serve(&socket.into(), self.how.trains()),
        }
    }
}

fn tcp(listener: &TcpListener) -> io::Result<OwnedFd> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream.into())
}

/// Of messages as well: accept(2) is the same.
fn unix(listener: &UnixListener) -> io::Result<OwnedFd> {
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok(stream.into())
}

fn serve_streams(
    listener: &impl AsFd,
    accept: impl Fn() -> io::Result<OwnedFd>,
    tls: Option<Tls>,
) -> anyhow::Result<()> {
    match tls {
        Some(tls) => streams::serve(listener, accept, || tls.echo()),
        None => streams::serve(listener, accept, || Ok(streams::Plain)),
    }
}

fn bind(wire: &Wire, how: How) -> io::Result<(Socket, Wire)> {
    Ok(match wire {
        Wire::Tcp(at) | Wire::Ws(at) => {
            let listener = TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            let local = listener.local_addr()?;
            match wire {
                Wire::Ws(_) => (Socket::Ws(listener), Wire::Ws(local)),
                _ => (Socket::Tcp(listener), Wire::Tcp(local)),
            }
        }
        Wire::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            (Socket::Unix(listener), wire.clone())
        }
        Wire::UnixSeq(path) => {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
            nix::sys::socket::bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
            listen(&socket, Backlog::MAXCONN)?;
            (Socket::UnixSeq(socket.into()), wire.clone())
        }
        Wire::Udp(at) => {
            let socket = UdpSocket::bind(at)?;
            let local = socket.local_addr()?;
            if how == How::Gro {
                setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
            }
            (Socket::Udp(with_buffers(socket, UDP_RECV_BUFFER, how)?), Wire::Udp(local))
        }
        Wire::UnixDgram(path) => {
            let socket = with_buffers(UnixDatagram::bind(path)?, BUFFERS, how)?;
            (Socket::UnixDgram(socket), wire.clone())
        }
    })
}

fn with_buffers<S: AsFd>(socket: S, recv: usize, how: How) -> io::Result<S> {
    if !how.by_default() {
        setsockopt(&socket, sockopt::RcvBuf, &recv)?;
        setsockopt(&socket, sockopt::SndBuf, &BUFFERS)?;
    }
    Ok(socket)
}
