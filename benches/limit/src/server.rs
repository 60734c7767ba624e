//! Upper-case echo from one thread.

mod datagrams;
mod end;
mod how;
mod plain;
mod streams;
mod tokio_echo;

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener};

use anyhow::Context as _;
use nix::sys::socket::{setsockopt, sockopt};

pub use end::until_the_end;
pub use how::How;

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
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    Udp(UdpSocket),
    UnixDgram(UnixDatagram),
}

impl Server {
    /// Binds. A Unix path must be free.
    ///
    /// # Errors
    /// The address is in use or not ours, or there is no such loop for this wire.
    pub fn bind(wire: &Wire, how: How) -> anyhow::Result<Self> {
        how.check(wire)?;
        let (socket, local) = bind(wire, how).with_context(|| format!("bind {wire}"))?;
        Ok(Self { socket, local, how })
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
            Socket::Tcp(listener) => streams::serve(&listener, || {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }),
            Socket::Unix(listener) => streams::serve(&listener, || {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }),
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

fn bind(wire: &Wire, how: How) -> io::Result<(Socket, Wire)> {
    Ok(match wire {
        Wire::Tcp(at) => {
            let listener = TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            let local = listener.local_addr()?;
            (Socket::Tcp(listener), Wire::Tcp(local))
        }
        Wire::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            (Socket::Unix(listener), wire.clone())
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
