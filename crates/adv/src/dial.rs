//! Connecting.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpSocket, UdpSocket, UnixDatagram, UnixStream};
use tokio::time::{sleep, timeout};

use crate::datagram::Datagram;
use crate::stream::Stream;
use crate::target::{Target, Where};

/// The pause after a Unix socket whose queue of connections was full.
const FULL: Duration = Duration::from_millis(5);

/// Where to connect, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) target: Target,
    /// Source addresses, used in turn; the system's choice without any.
    pub(crate) sources: Vec<IpAddr>,
    pub(crate) patience: Duration,
    /// The size of the receive buffer; the system's without.
    pub(crate) receive_buffer: Option<usize>,
}

impl Dial {
    /// Connects the stream number `index`, which chooses its source.
    ///
    /// # Errors
    /// The system's, or that it took longer than the patience.
    pub(crate) async fn stream(&self, index: u64) -> io::Result<Stream> {
        let connect = async {
            match self.target.place() {
                Where::Ip(to) => self.tcp(*to, index).await,
                Where::Unix(to) => self.unix(to).await,
            }
        };
        timeout(self.patience, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Makes the datagram socket number `index` and connects it.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn datagrams(&self, index: u64) -> io::Result<Datagram> {
        match self.target.place() {
            Where::Ip(to) => {
                let socket = Socket::new(Domain::for_address(*to), Type::DGRAM, None)?;
                socket.set_nonblocking(true)?;
                if let Some(size) = self.receive_buffer {
                    socket.set_recv_buffer_size(size)?;
                }
                if let Some(source) = self.source(index) {
                    socket.bind(&SocketAddr::new(source, 0).into())?;
                }
                socket.connect(&(*to).into())?;
                UdpSocket::from_std(socket.into()).map(Datagram::Udp)
            }
            Where::Unix(to) => {
                let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
                socket.set_nonblocking(true)?;
                // The system chooses a name, to which replies come (unix(7), "Autobind feature").
                socket.bind(&SockAddr::unix("")?)?;
                socket.connect(to)?;
                UnixDatagram::from_std(socket.into()).map(Datagram::Unix)
            }
        }
    }

    fn source(&self, index: u64) -> Option<IpAddr> {
        let len = u64::try_from(self.sources.len()).unwrap_or(u64::MAX);
        self.sources.get(usize::try_from(index.checked_rem(len)?).ok()?).copied()
    }

    async fn tcp(&self, to: SocketAddr, index: u64) -> io::Result<Stream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(size) = self.receive_buffer {
            socket.set_recv_buffer_size(u32::try_from(size).unwrap_or(u32::MAX))?;
        }
        if let Some(source) = self.source(index) {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Stream::Tcp(stream))
    }

    /// A full queue is told at once (`EAGAIN`), so it is asked again.
    async fn unix(&self, to: &SockAddr) -> io::Result<Stream> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        while let Err(error) = socket.connect(to) {
            if error.raw_os_error() != Some(Errno::EAGAIN as i32) {
                return Err(error);
            }
            sleep(FULL).await;
        }
        UnixStream::from_std(socket.into()).map(Stream::Unix)
    }
}
