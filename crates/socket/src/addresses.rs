//! The IP addresses of a name: which there are, what kind each is, and binding them.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;

/// How often addresses that are to share a free port are bound anew: another socket may have it at one of them.
const TRIES: usize = 16;

/// Whom an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One host, or, as a wildcard, every address of this one.
    One,
    /// A group (`ip(7)`, `IP_ADD_MEMBERSHIP`).
    Group,
    /// Every host of a network (`ip(7)`, `SO_BROADCAST`).
    Everybody,
}

/// The addresses of `host`, each once, in the order in which the system gives them (`getaddrinfo(3)`); at least one.
/// IPv4-mapped IPv6 addresses are IPv4.
///
/// # Errors
/// The system's, or the name has no address.
///
/// # Panics
/// Outside a tokio runtime, if the name must be resolved.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addrs = Vec::new();
    for addr in lookup_host((host, port)).await? {
        let addr = match addr.ip().to_canonical() {
            ip if ip.is_ipv4() => SocketAddr::new(ip, port),
            _ => addr,
        };
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    if addrs.is_empty() { Err(no_address()) } else { Ok(addrs) }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

/// Which hosts `addr` reaches. Only the system knows the broadcast addresses of its networks, and only Linux reports them:
/// there a socket that may not broadcast is connected, which sends nothing (`ip(7)`, `EACCES`).
pub fn reach(addr: SocketAddr) -> Reach {
    match addr.ip() {
        ip if ip.is_multicast() => Reach::Group,
        IpAddr::V4(ip) if ip.is_broadcast() || is_broadcast_here(addr) => Reach::Everybody,
        _ => Reach::One,
    }
}

#[cfg(target_os = "linux")]
fn is_broadcast_here(addr: SocketAddr) -> bool {
    use socket2::{Domain, Protocol, Socket, Type};
    let port = if addr.port() == 0 { 1 } else { addr.port() };
    let connect = |broadcast| {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_broadcast(broadcast)?;
        socket.connect(&SocketAddr::new(addr.ip(), port).into())
    };
    let refused = |result: io::Result<()>| result.is_err_and(|error| error.raw_os_error() == Some(libc::EACCES));
    // A route that is forbidden is refused either way.
    refused(connect(false)) && !refused(connect(true))
}

#[cfg(not(target_os = "linux"))]
fn is_broadcast_here(_: SocketAddr) -> bool {
    false
}

/// Binds the first of `addrs` that can be bound. One that is in use ends the search: the second server is refused rather
/// than bound to another address of the same name.
///
/// # Errors
/// The address that is in use, or that of the last.
pub(crate) fn bind_first<T>(addrs: &[SocketAddr], mut bind: impl FnMut(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = no_address();
    for addr in addrs {
        match bind(*addr) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => last = error,
            done => return done.map_err(|error| in_use(*addr, addrs, error)),
        }
    }
    Err(last)
}

/// Binds all of `addrs`; `bind` gives the port that it got. With port 0 they share a free one; if there is none after 16
/// tries, some have one of their own. One that cannot be bound is left out, and logged as of `place`, if another can.
///
/// # Errors
/// One is in use, or none can be bound: the error of the last. What was bound is dropped.
pub(crate) fn bind_each<T>(
    place: &dyn Display,
    addrs: &[SocketAddr],
    mut bind: impl FnMut(SocketAddr) -> io::Result<(T, u16)>,
) -> io::Result<Vec<T>> {
    for left in (0..TRIES).rev() {
        let (mut bound, mut port) = (Vec::with_capacity(addrs.len()), None);
        let (mut left_out, mut taken) = (Vec::new(), false);
        for addr in addrs {
            let shared = if addr.port() == 0 { port.filter(|_| left > 0) } else { None };
            let to_bind = SocketAddr::new(addr.ip(), shared.unwrap_or(addr.port()));
            match bind(with_scope(to_bind, addr)) {
                Ok((one, got)) => {
                    port.get_or_insert(got);
                    bound.push(one);
                }
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => left_out.push((addr, error)),
                Err(_) if shared.is_some() => {
                    taken = true;
                    break;
                }
                Err(error) => return Err(in_use(*addr, addrs, error)),
            }
        }
        if taken {
            continue;
        }
        if bound.is_empty() {
            return Err(left_out.pop().map_or_else(no_address, |(_, error)| error));
        }
        for (address, error) in left_out {
            tracing::warn!(endpoint = %place, %address, %error, "an address of this name was left out");
        }
        return Ok(bound);
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn with_scope(mut to: SocketAddr, of: &SocketAddr) -> SocketAddr {
    if let (SocketAddr::V6(to), SocketAddr::V6(of)) = (&mut to, of) {
        to.set_scope_id(of.scope_id());
    }
    to
}

/// Says which of several addresses is in use.
fn in_use(addr: SocketAddr, addrs: &[SocketAddr], error: io::Error) -> io::Error {
    if addrs.len() == 1 {
        error
    } else {
        io::Error::new(error.kind(), format!("another server is listening on {addr}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::UdpSocket;

    use super::*;

    fn addrs(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Gives out the ports from 1 on, of which some are taken at some addresses.
    struct Ports {
        taken: HashMap<&'static str, Vec<u16>>,
        next: u16,
    }

    impl Ports {
        fn bind(&mut self, addr: SocketAddr) -> io::Result<(SocketAddr, u16)> {
            if addr.ip().to_string() == "192.0.2.1" {
                return Err(io::ErrorKind::AddrNotAvailable.into());
            }
            let port = if addr.port() == 0 {
                self.next += 1;
                self.next
            } else {
                addr.port()
            };
            if self.taken.iter().any(|(ip, ports)| *ip == addr.ip().to_string() && ports.contains(&port)) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            Ok((SocketAddr::new(addr.ip(), port), port))
        }
    }

    fn ports(taken: impl Into<Vec<u16>>) -> Ports {
        Ports { taken: HashMap::from([("::1", taken.into())]), next: 0 }
    }

    fn each(of: &[&str], ports: &mut Ports) -> io::Result<Vec<SocketAddr>> {
        bind_each(&"tcp://name:0", &addrs(of), |addr| ports.bind(addr))
    }

    #[test]
    fn all_addresses_share_a_free_port() {
        let both = ["127.0.0.1:0", "[::1]:0"];
        assert_eq!(each(&both, &mut ports([])).unwrap(), addrs(&["127.0.0.1:1", "[::1]:1"]));
        assert_eq!(each(&both, &mut ports([1, 2])).unwrap(), addrs(&["127.0.0.1:3", "[::1]:3"]));
        // Nowhere the same one is free: each gets one of its own, and nobody waits for ever.
        let all: Vec<u16> = (1..16).collect();
        assert_eq!(each(&both, &mut ports(all)).unwrap(), addrs(&["127.0.0.1:16", "[::1]:17"]));
    }

    #[test]
    fn one_in_use_is_an_error_and_one_that_is_not_here_is_left_out() {
        let error = each(&["127.0.0.1:7", "[::1]:7"], &mut ports([7])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(error.to_string(), "another server is listening on [::1]:7");
        let some = ["192.0.2.1:7", "127.0.0.1:7"];
        assert_eq!(each(&some, &mut ports([])).unwrap(), addrs(&["127.0.0.1:7"]));
        let error = each(&["192.0.2.1:0"], &mut ports([])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
        assert_eq!(bind_first(&addrs(&some), |addr| ports([]).bind(addr)).unwrap().1, 7);
        let error = bind_first(&addrs(&["[::1]:7", "127.0.0.1:7"]), |addr| ports([7]).bind(addr)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(error.to_string(), "another server is listening on [::1]:7");
    }

    #[test]
    fn sockets_of_both_families_share_a_port() {
        let bind = |addr: SocketAddr| {
            let socket = UdpSocket::bind(addr)?;
            let port = socket.local_addr()?.port();
            Ok((socket, port))
        };
        let bound = bind_each(&"udp://localhost:0", &addrs(&["127.0.0.1:0", "[::1]:0"]), bind).unwrap();
        let ports: Vec<_> = bound.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert!(ports.len() == 2 && ports[0] == ports[1] && ports[0] != 0, "{ports:?}");
    }

    #[tokio::test]
    async fn an_address_is_named_once_and_in_its_normal_form() {
        assert_eq!(resolve("::ffff:127.0.0.1", 7).await.unwrap(), addrs(&["127.0.0.1:7"]));
        let found = resolve("localhost", 7).await.unwrap();
        assert!(found.iter().all(|addr| addr.ip().is_loopback()), "{found:?}");
        assert!(found.iter().enumerate().all(|(i, addr)| !found[..i].contains(addr)), "{found:?}");
    }

    #[test]
    fn addresses_reach_one_or_many() {
        let kinds = [
            ("127.0.0.1:9", Reach::One),
            ("0.0.0.0:9", Reach::One),
            ("[::]:0", Reach::One),
            ("[::1]:9", Reach::One),
            ("239.1.2.3:9", Reach::Group),
            ("[ff02::1]:9", Reach::Group),
            ("255.255.255.255:9", Reach::Everybody),
        ];
        for (addr, expected) in kinds {
            assert_eq!(reach(addr.parse().unwrap()), expected, "{addr}");
        }
        #[cfg(target_os = "linux")]
        assert_eq!(reach("127.255.255.255:9".parse().unwrap()), Reach::Everybody);
    }
}
