//! Where clients come.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use anyhow::Context as _;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, UdpSocket, UnixDatagram, UnixListener};

use super::peers::Shared;
use crate::stream::Stream;
use crate::target::{Target, Where};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A socket that accepts streams.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }

    /// The address, where the system may have chosen a part of it.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

/// # Errors
/// The address cannot be bound.
pub(super) async fn streams(target: &Target) -> anyhow::Result<Listener> {
    let listen = || match target.place() {
        Where::Ip(at) => {
            let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(*at)?;
            socket.listen(BACKLOG).map(Listener::Tcp)
        }
        Where::Unix(at) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            socket.bind(at)?;
            socket.listen(BACKLOG.cast_signed())?;
            UnixListener::from_std(socket.into()).map(Listener::Unix)
        }
    };
    listen().with_context(|| format!("listen {target}"))
}

/// # Errors
/// The address cannot be bound.
pub(super) async fn datagrams(target: &Target) -> anyhow::Result<Shared> {
    let bind = || match target.place() {
        Where::Ip(at) => {
            let socket = Socket::new(Domain::for_address(*at), Type::DGRAM, None)?;
            socket.set_nonblocking(true)?;
            socket.bind(&(*at).into())?;
            UdpSocket::from_std(socket.into()).map(Shared::Udp)
        }
        Where::Unix(at) => {
            let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
            socket.set_nonblocking(true)?;
            socket.bind(at)?;
            UnixDatagram::from_std(socket.into()).map(Shared::Unix)
        }
    };
    bind().with_context(|| format!("bind {target}"))
}

/// Prints where clients may come from now on.
///
/// # Errors
/// Nobody can be told.
pub(super) fn announce(target: &Target, local: Option<SocketAddr>) -> anyhow::Result<String> {
    let scheme = if target.has_datagrams() { "udp" } else { "tcp" };
    let place = local.map_or_else(|| target.to_string(), |local| format!("{scheme}://{local}"));
    let mut out = io::stdout().lock();
    writeln!(out, "listening {place}").and_then(|()| out.flush()).context("write the standard output")?;
    Ok(place)
}

/// Removes the file of a Unix socket that was ours.
pub(super) fn remove(target: &Target) {
    if let Some(path) = target.path() {
        let _ = fs::remove_file(path);
    }
}
