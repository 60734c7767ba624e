//! One connected datagram socket, UDP or Unix.

use std::io;

use tokio::io::{Interest, Ready};
use tokio::net::{UdpSocket, UnixDatagram};

/// A socket for datagrams to and from one peer.
#[derive(Debug)]
pub(crate) enum Datagram {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// More than any datagram holds.
pub(crate) const LONGEST: usize = 65_536;

impl Datagram {
    pub(crate) async fn send(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(message).await,
            Self::Unix(socket) => socket.send(message).await,
        }
    }

    pub(crate) async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.recv(buffer).await,
            Self::Unix(socket) => socket.recv(buffer).await,
        }
    }

    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Udp(socket) => socket.ready(interest).await,
            Self::Unix(socket) => socket.ready(interest).await,
        }
    }

    pub(crate) fn try_send(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.try_send(message),
            Self::Unix(socket) => socket.try_send(message),
        }
    }

    pub(crate) fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.try_recv(buffer),
            Self::Unix(socket) => socket.try_recv(buffer),
        }
    }
}
