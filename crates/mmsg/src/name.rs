//! The addresses of peers as the system's calls read and write them: `sockaddr_in`, `sockaddr_in6`, `sockaddr_un`.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use swapwire_core::{Addr, UnixAddr};

use super::Peers;

/// Room for the longest: a `sockaddr_un` has 110 bytes.
pub(crate) const MAX_LEN: usize = 112;

const INET: usize = size_of::<libc::sockaddr_in>();
const INET6: usize = size_of::<libc::sockaddr_in6>();
/// Where `sun_path` begins.
const PATH: usize = size_of::<libc::sa_family_t>();

/// Gives `give` what the system wrote; `None` if the peer has no address. Each kind of address is given by a call of its
/// own, so that it can be written where it is to be, and not through one that has room for all of them.
#[inline(always)]
pub(crate) fn read<T>(name: &[u8], give: impl FnOnce(Option<Addr>) -> T) -> T {
    let Some((family, rest)) = name.split_first_chunk() else { return give(None) };
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => match rest.first_chunk::<6>() {
            Some(&[p, q, a, b, c, d]) => {
                let addr = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p, q]));
                give(Some(Addr::Inet(SocketAddr::V4(addr))))
            }
            None => give(None),
        },
        libc::AF_INET6 => give(inet6(rest).map(|addr| Addr::inet(addr.into()))),
        libc::AF_UNIX => give(unix(rest).map(Addr::Unix)),
        _ => give(None),
    }
}

fn inet6(rest: &[u8]) -> Option<SocketAddrV6> {
    let (port, rest) = rest.split_first_chunk()?;
    let (flow, rest) = rest.split_first_chunk()?;
    let (ip, rest) = rest.split_first_chunk::<16>()?;
    let (flow, scope) = (u32::from_ne_bytes(*flow), u32::from_ne_bytes(*rest.first_chunk()?));
    Some(SocketAddrV6::new(Ipv6Addr::from(*ip), u16::from_be_bytes(*port), flow, scope))
}

fn unix(path: &[u8]) -> Option<UnixAddr> {
    match path {
        [] => None,
        [0, name @ ..] => UnixAddr::from_abstract(name),
        _ => {
            // The length that the system tells counts the NUL behind a path, if there was room for one.
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            UnixAddr::from_path(Path::new(OsStr::from_bytes(path)))
        }
    }
}

/// Writes `to` for a socket with such `peers`, and gives its length; 0 if the socket is connected.
#[inline]
pub(crate) fn write(name: &mut [u8; MAX_LEN], to: &Addr, peers: Peers) -> io::Result<usize> {
    if let (Peers::Inet, Addr::Inet(SocketAddr::V4(to))) = (peers, to) {
        name[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        name[2..4].copy_from_slice(&to.port().to_be_bytes());
        name[4..8].copy_from_slice(&to.ip().octets());
        name[8..INET].fill(0);
        return Ok(INET);
    }
    write_other(name, to, peers)
}

#[inline(never)]
fn write_other(name: &mut [u8; MAX_LEN], to: &Addr, peers: Peers) -> io::Result<usize> {
    match (peers, to) {
        (Peers::One | Peers::OneUnix | Peers::SeqUnix, _) => Ok(0),
        (Peers::Inet6, Addr::Inet(to)) => {
            let (ip, flow, scope) = match to {
                SocketAddr::V4(to) => (to.ip().to_ipv6_mapped(), 0, 0),
                SocketAddr::V6(to) => (*to.ip(), to.flowinfo(), to.scope_id()),
            };
            name[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            name[2..4].copy_from_slice(&to.port().to_be_bytes());
            name[4..8].copy_from_slice(&flow.to_ne_bytes());
            name[8..24].copy_from_slice(&ip.octets());
            name[24..INET6].copy_from_slice(&scope.to_ne_bytes());
            Ok(INET6)
        }
        (Peers::Unix, Addr::Unix(to)) => {
            name[..PATH].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
            if let Some(path) = to.as_path() {
                let path = path.as_os_str().as_bytes();
                name[PATH..PATH + path.len()].copy_from_slice(path);
                Ok(PATH + path.len())
            } else if let Some(abstract_name) = to.as_abstract() {
                name[PATH] = 0;
                name[PATH + 1..][..abstract_name.len()].copy_from_slice(abstract_name);
                Ok(PATH + 1 + abstract_name.len())
            } else {
                Err(wrong("an unnamed socket has no address"))
            }
        }
        (Peers::Inet, Addr::Inet(_)) => Err(wrong("an IPv4 socket cannot reach an IPv6 peer")),
        (Peers::Inet | Peers::Inet6, _) => Err(wrong("the peer has no IP address")),
        (Peers::Unix, _) => Err(wrong("not the address of a Unix socket")),
    }
}

fn wrong(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &[u8]) -> Option<Addr> {
        super::read(name, |addr| addr)
    }

    #[test]
    fn addresses_survive_the_way_out_and_back() {
        let inet = |text: &str| Addr::inet(text.parse().unwrap());
        let path = "/".to_owned() + &"x".repeat(107);
        for (addr, peers) in [
            (inet("127.0.0.1:80"), Peers::Inet),
            (inet("127.0.0.1:80"), Peers::Inet6),
            (inet("[::1]:65535"), Peers::Inet6),
            (inet("[fe80::1%7]:9"), Peers::Inet6),
            (Addr::Unix(UnixAddr::from_path(Path::new("/run/x")).unwrap()), Peers::Unix),
            (Addr::Unix(UnixAddr::from_path(Path::new(&path)).unwrap()), Peers::Unix),
            (Addr::Unix(UnixAddr::from_abstract(b"").unwrap()), Peers::Unix),
            (Addr::Unix(UnixAddr::from_abstract(&[7; 107]).unwrap()), Peers::Unix),
        ] {
            let mut name = [0xaa; MAX_LEN];
            let len = write(&mut name, &addr, peers).unwrap();
            assert_eq!(read(&name[..len]), Some(addr));
        }
        assert_eq!((read(&[]), read(&[1, 0]), read(&[2, 0, 1])), (None, None, None));
    }

    #[test]
    fn a_path_ends_before_its_nul() {
        let mut name = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
        name.extend(b"/run/x\0");
        assert_eq!(read(&name), UnixAddr::from_path(Path::new("/run/x")).map(Addr::Unix));
    }

    #[test]
    fn addresses_that_do_not_fit_say_why() {
        let (v6, named) = (Addr::inet("[::1]:9".parse().unwrap()), Addr::named("mem", "x").unwrap());
        for (addr, peers, text) in [
            (v6, Peers::Inet, "an IPv4 socket cannot reach an IPv6 peer"),
            (named, Peers::Inet, "the peer has no IP address"),
            (named, Peers::Inet6, "the peer has no IP address"),
            (v6, Peers::Unix, "not the address of a Unix socket"),
            (Addr::Unix(UnixAddr::UNNAMED), Peers::Unix, "an unnamed socket has no address"),
        ] {
            let error = write(&mut [0; MAX_LEN], &addr, peers).unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::InvalidInput, text.to_owned()));
        }
        for peers in [Peers::One, Peers::OneUnix] {
            assert_eq!(write(&mut [0; MAX_LEN], &named, peers).unwrap(), 0);
        }
    }
}
