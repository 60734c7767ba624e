//! What a descriptor is.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;

use socket2::{Domain, SockAddr, SockRef, Type};

/// Where the socket is bound, if it can be served: one that listens, or one of datagrams that has an address and no peer.
///
/// # Errors
/// What it is, and what would be right.
pub(crate) fn place_of(descriptor: &OwnedFd) -> Result<SockAddr, String> {
    let socket = SockRef::from(descriptor);
    let Ok(kind) = socket.r#type() else {
        return Err(format!("is {}, and not a socket", file(descriptor)));
    };
    let local = socket.local_addr().map_err(|error| format!("has no address: {error}"))?;
    if !matches!(kind, Type::STREAM | Type::SEQPACKET) {
        if socket.peer_addr().is_ok() {
            return Err("is connected, so it hears one peer alone; a server needs one that is bound only".to_owned());
        }
        return if is_bound(&local) {
            Ok(local)
        } else {
            Err("is bound to no address; its opener has to bind it".to_owned())
        };
    }
    match socket.is_listener() {
        Ok(true) => Ok(local),
        _ if socket.peer_addr().is_ok() || socket.domain().ok() == Some(Domain::UNIX) && !is_bound(&local) => {
            Err("is a connection; a server needs the socket that listens: Accept=no in a socket unit".to_owned())
        }
        _ => Err("does not listen; its opener has to call listen(2)".to_owned()),
    }
}

fn is_bound(local: &SockAddr) -> bool {
    match local.as_socket() {
        Some(addr) => addr.port() != 0,
        None => !local.is_unnamed(),
    }
}

fn file(descriptor: &OwnedFd) -> &'static str {
    let Ok(metadata) = descriptor.try_clone().map(File::from).and_then(|file| file.metadata()) else {
        return "unknown";
    };
    let kind = metadata.file_type();
    match kind {
        _ if kind.is_file() => "a file",
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "a descriptor of the system's",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use socket2::Socket;

    use super::*;

    fn error(descriptor: impl Into<OwnedFd>) -> String {
        place_of(&descriptor.into()).unwrap_err()
    }

    #[test]
    fn sockets_that_can_be_served_have_their_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        assert_eq!(place_of(&listener.into()).unwrap().as_socket(), Some(addr));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        assert_eq!(place_of(&socket.into()).unwrap().as_socket(), Some(addr));
    }

    #[test]
    fn what_is_no_socket_is_called_by_its_kind() {
        let dir = std::env::temp_dir();
        assert_eq!(error(File::open(dir).unwrap()), "is a directory, and not a socket");
        assert_eq!(error(File::open("/dev/null").unwrap()), "is a device, and not a socket");
        assert_eq!(error(File::open(std::env::current_exe().unwrap()).unwrap()), "is a file, and not a socket");
        assert_eq!(error(std::io::pipe().unwrap().0), "is a pipe, and not a socket");
    }

    #[test]
    fn a_connection_is_not_taken_for_a_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let connection = "is a connection; a server needs the socket that listens: Accept=no in a socket unit";
        assert_eq!(error(client), connection);
        assert_eq!(error(listener.accept().unwrap().0), connection);
        let (one, other) = UnixStream::pair().unwrap();
        drop(other);
        assert_eq!(error(one), connection);
    }

    #[test]
    fn a_socket_that_is_not_ready_is_told_what_it_lacks() {
        let any = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bound.bind(&any.into()).unwrap();
        assert_eq!(error(bound), "does not listen; its opener has to call listen(2)");
        for domain in [Domain::IPV4, Domain::UNIX] {
            let unbound = Socket::new(domain, Type::DGRAM, None).unwrap();
            assert_eq!(error(unbound), "is bound to no address; its opener has to bind it");
        }
        let connected = UdpSocket::bind(any).unwrap();
        connected.connect(connected.local_addr().unwrap()).unwrap();
        let text = "is connected, so it hears one peer alone; a server needs one that is bound only";
        assert_eq!(error(connected), text);
        assert_eq!(error(UnixDatagram::pair().unwrap().0), text);
    }
}
