//! Options of sockets of IPv4 and of IPv6: `v6_only`, `ttl`, `reuse_port`, and the addresses that a client may come from.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{SockRef, Socket};

/// Why the option `v6_only` is a mistake for the addresses of `host`, if it is one.
pub(crate) fn v6_only_mistake(host: &str, addrs: &[SocketAddr]) -> Option<String> {
    let mistake = addrs.iter().all(SocketAddr::is_ipv4);
    mistake.then(|| format!("{host} is not an IPv6 address; leave the option out, or write [::]"))
}

/// Sets `IPV6_V6ONLY` (`ipv6(7)`) of a socket for `addr`, to true unless the option says otherwise; one of IPv4 stays as it is.
///
/// # Errors
/// The system's.
pub fn set_v6_only(socket: &Socket, addr: SocketAddr, option: Option<bool>) -> io::Result<()> {
    if addr.is_ipv6() { socket.set_only_v6(option.unwrap_or(true)) } else { Ok(()) }
}

/// Sets how many routers the packets of a socket for `addr` may cross (`ip(7)`, `IP_TTL`; `ipv6(7)`, `IPV6_UNICAST_HOPS`).
///
/// # Errors
/// The system's.
pub fn set_ttl(socket: &SockRef<'_>, addr: SocketAddr, ttl: u32) -> io::Result<()> {
    if addr.is_ipv4() {
        return socket.set_ttl_v4(ttl);
    }
    // To an IPv4 peer an IPv6 socket sends IPv4 packets, and takes their limit from IP_TTL.
    #[cfg(target_os = "linux")]
    socket.set_ttl_v4(ttl)?;
    socket.set_unicast_hops_v6(ttl)
}

/// `SO_REUSEPORT`, where there is one (`socket(7)`).
///
/// # Errors
/// The system's, or it has none.
pub fn set_reuse_port(socket: &SockRef<'_>) -> io::Result<()> {
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
    return socket.set_reuse_port(true);
    #[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin")))))]
    {
        let _ = socket;
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no reuse_port"))
    }
}

/// Binds the socket of a client to `source`, to a port of the system's choice.
///
/// # Errors
/// The system's; it is none of this machine's addresses.
pub fn bind_source(socket: &Socket, source: IpAddr) -> io::Result<()> {
    socket.bind(&SocketAddr::new(source, 0).into()).map_err(|error| match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            io::Error::new(error.kind(), format!("source={source} is no address of this machine"))
        }
        _ => error,
    })
}

/// Those of `addrs` that can be reached from `source`: all without one, else those of its family.
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput): there are none.
pub fn reachable_from(source: Option<IpAddr>, mut addrs: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
    let (Some(source), Some(first)) = (source, addrs.first().map(SocketAddr::ip)) else { return Ok(addrs) };
    addrs.retain(|addr| addr.is_ipv4() == source.is_ipv4());
    if addrs.is_empty() {
        let text = format!("source={source} does not reach {first}: one is IPv4 and the other IPv6");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(addrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addrs(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn v6_only_is_a_mistake_where_there_is_no_ipv6_alone() {
        assert_eq!(v6_only_mistake("localhost", &addrs(&["127.0.0.1:7", "[::1]:7"])), None);
        let mistake = v6_only_mistake("127.0.0.1", &addrs(&["127.0.0.1:7"])).unwrap();
        assert_eq!(mistake, "127.0.0.1 is not an IPv6 address; leave the option out, or write [::]");
    }

    #[test]
    fn a_source_reaches_the_addresses_of_its_family() {
        let both = addrs(&["127.0.0.1:7", "[::1]:7", "127.0.0.2:7"]);
        let from = |source: Option<&str>| reachable_from(source.map(|ip| ip.parse().unwrap()), both.clone());
        assert_eq!(from(None).unwrap(), both);
        assert_eq!(from(Some("127.0.0.9")).unwrap(), addrs(&["127.0.0.1:7", "127.0.0.2:7"]));
        assert_eq!(from(Some("::1")).unwrap(), addrs(&["[::1]:7"]));
        let error = reachable_from(Some("::1".parse().unwrap()), addrs(&["127.0.0.1:7"])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "source=::1 does not reach 127.0.0.1: one is IPv4 and the other IPv6");
    }
}
