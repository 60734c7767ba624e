//! Upper-case echo from one thread.

mod datagrams;
mod end;
mod streams;

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};

use anyhow::Context as _;
use nix::sys::socket::{setsockopt, sockopt};

pub use end::until_the_end;

use crate::Wire;
use crate::mmsg::Use;

/// The system's buffers of a datagram socket: room for 64 clients with 16 short requests each.
const BUFFERS: usize = 2 * 1024 * 1024;

/// A bound server.
#[derive(Debug)]
pub struct Server {
    socket: Socket,
    local: Wire,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
    Udp(OwnedFd),
    UnixDgram(OwnedFd),
}

impl Server {
    /// Binds. A Unix path must be free.
    ///
    /// # Errors
    /// The address is in use or not ours.
    pub fn bind(wire: &Wire) -> anyhow::Result<Self> {
        let (socket, local) = bind(wire).with_context(|| format!("bind {wire}"))?;
        Ok(Self { socket, local })
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
            Socket::Udp(socket) => datagrams::serve(&socket, Use::Udp),
            Socket::UnixDgram(socket) => datagrams::serve(&socket, Use::Unix),
        }
    }
}

fn bind(wire: &Wire) -> io::Result<(Socket, Wire)> {
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
            (Socket::Udp(large(socket.into())?), Wire::Udp(local))
        }
        Wire::UnixDgram(path) => (Socket::UnixDgram(large(UnixDatagram::bind(path)?.into())?), wire.clone()),
    })
}

fn large(socket: OwnedFd) -> io::Result<OwnedFd> {
    setsockopt(&socket, sockopt::RcvBuf, &BUFFERS)?;
    setsockopt(&socket, sockopt::SndBuf, &BUFFERS)?;
    Ok(socket)
}
