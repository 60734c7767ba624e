//! Writing headers.

use std::net::SocketAddr;

use swapwire_core::{Addr, UnixAddr};

use crate::header::{Command, Header, Version};
use crate::parse::SIGNATURE;
use crate::tlvs::{push_checksum, sign};

/// The bytes of `header`, in version 2 with a checksum (section 2.2.3) if that is asked for.
///
/// A header for the proxy itself has no addresses. Two that are not both IPv4, both IPv6 or, in version 2, both of Unix sockets
/// are written as unknown. Version 1 has no values.
///
/// ```
/// use swapwire_proxy::{Header, Version, encode};
///
/// assert_eq!(encode(&Header::local(Version::V1), false), b"PROXY UNKNOWN\r\n");
/// assert_eq!(encode(&Header::local(Version::V2), false), b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
/// ```
pub fn encode(header: &Header, with_checksum: bool) -> Vec<u8> {
    let ends = header.ends.as_ref().filter(|_| header.command == Command::Proxy);
    match header.version {
        Version::V1 => v1(ends).into_bytes(),
        Version::V2 => v2(header, ends, with_checksum),
    }
}

fn v1(ends: Option<&(Addr, Addr)>) -> String {
    match ends {
        Some((Addr::Inet(client), Addr::Inet(to))) if client.is_ipv4() == to.is_ipv4() => {
            let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {} {} {} {}\r\n", client.ip(), to.ip(), client.port(), to.port())
        }
        _ => "PROXY UNKNOWN\r\n".to_owned(),
    }
}

fn v2(header: &Header, ends: Option<&(Addr, Addr)>, with_checksum: bool) -> Vec<u8> {
    let (family, mut body) = match ends {
        Some((Addr::Inet(SocketAddr::V4(client)), Addr::Inet(SocketAddr::V4(to)))) => {
            (0x11, [&client.ip().octets()[..], &to.ip().octets(), &ports(client.port(), to.port())].concat())
        }
        Some((Addr::Inet(SocketAddr::V6(client)), Addr::Inet(SocketAddr::V6(to)))) => {
            (0x21, [&client.ip().octets()[..], &to.ip().octets(), &ports(client.port(), to.port())].concat())
        }
        Some((Addr::Unix(client), Addr::Unix(to))) => (0x31, [unix(client), unix(to)].concat()),
        _ => (0x00, Vec::new()),
    };
    body.extend_from_slice(header.tlvs.as_bytes());
    if with_checksum {
        push_checksum(&mut body);
    }
    let command = match header.command {
        Command::Local => 0x20,
        Command::Proxy => 0x21,
    };
    // `Tlvs` are not longer.
    let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let mut bytes = [&SIGNATURE[..], &[command, family], &len.to_be_bytes(), &body].concat();
    if with_checksum {
        sign(&mut bytes);
    }
    bytes
}

fn ports(client: u16, to: u16) -> [u8; 4] {
    let (client, to) = (client.to_be_bytes(), to.to_be_bytes());
    [client[0], client[1], to[0], to[1]]
}

fn unix(addr: &UnixAddr) -> [u8; 108] {
    let mut bytes = [0; 108];
    if let Some(name) = addr.as_abstract() {
        bytes[1..=name.len()].copy_from_slice(name);
    }
    #[cfg(unix)]
    if let Some(path) = addr.as_path() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = path.as_os_str().as_bytes();
        bytes[..path.len()].copy_from_slice(path);
    }
    bytes
}
