//! The socket of a server. It joins the reactor of the runtime on which it is first polled, which need not be the one that it
//! was bound on.

#[cfg(any(test, not(target_os = "linux"), swapwire_plain))]
use std::io;
#[cfg(any(test, not(target_os = "linux"), swapwire_plain))]
use std::net::SocketAddr;

#[cfg(unix)]
pub(crate) type Bound = swapwire_socket::Descriptor<std::net::UdpSocket>;
#[cfg(not(unix))]
pub(crate) use self::both_ways::Bound;

/// As `recvfrom(2)`; `WouldBlock` also if the reactor knows of nothing.
#[cfg(any(test, not(target_os = "linux"), swapwire_plain))]
pub(crate) fn recv_from(socket: &mut Bound, slot: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    socket.try_read(|socket| socket.recv_from(slot))
}

/// As `sendto(2)`.
#[cfg(any(test, not(target_os = "linux"), swapwire_plain))]
pub(crate) fn send_to(socket: &mut Bound, message: &[u8], to: SocketAddr) -> io::Result<usize> {
    socket.try_write(|socket| socket.send_to(message, to))
}

/// Where tokio offers no more than sockets that are watched for both ways.
#[cfg(not(unix))]
mod both_ways {
    use std::io;
    use std::task::{Context, Poll};

    use tokio::net::UdpSocket;

    #[derive(Debug)]
    pub(crate) enum Bound {
        Unregistered(std::net::UdpSocket),
        Registered(UdpSocket),
        /// It could not be registered, and is closed.
        Lost,
    }

    /// What has the calls of both kinds of socket that are used here.
    pub(crate) struct Calls<'a>(&'a UdpSocket);

    impl Calls<'_> {
        pub(crate) fn recv_from(&self, slot: &mut [u8]) -> io::Result<(usize, std::net::SocketAddr)> {
            self.0.try_recv_from(slot)
        }

        pub(crate) fn send_to(&self, message: &[u8], to: std::net::SocketAddr) -> io::Result<usize> {
            self.0.try_send_to(message, to)
        }
    }

    impl Bound {
        pub(crate) const fn new(socket: std::net::UdpSocket) -> Self {
            Self::Unregistered(socket)
        }

        pub(crate) fn try_read<R>(&mut self, call: impl FnOnce(Calls<'_>) -> io::Result<R>) -> io::Result<R> {
            call(Calls(self.registered()?))
        }

        pub(crate) fn try_write<R>(&mut self, call: impl FnOnce(Calls<'_>) -> io::Result<R>) -> io::Result<R> {
            call(Calls(self.registered()?))
        }

        pub(crate) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.registered()?.poll_recv_ready(cx)
        }

        pub(crate) fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.registered()?.poll_send_ready(cx)
        }

        fn registered(&mut self) -> io::Result<&UdpSocket> {
            if let Self::Unregistered(_) = self
                && let Self::Unregistered(socket) = std::mem::replace(self, Self::Lost)
            {
                *self = Self::Registered(UdpSocket::from_std(socket)?);
            }
            match self {
                Self::Registered(socket) => Ok(socket),
                _ => {
                    Err(io::Error::new(io::ErrorKind::NotConnected, "the socket could not be registered and is closed"))
                }
            }
        }
    }
}
