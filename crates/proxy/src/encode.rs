//! Writing headers.

use std::net::SocketAddr;

use swapwire_core::{Addr, UnixAddr};

use crate::header::{Command, Header, Version};
use crate::parse::{CHECKSUM, SIGNATURE, checksum};

/// The bytes of `header`, in version 2 with a checksum (section 2.2.3) if that is asked for.
///
/// What version 1 cannot say, an address that is not an IP address, is `UNKNOWN` there; in version 2, two addresses of
/// different kinds are unspecified.
pub fn encode(header: &Header, with_checksum: bool) -> Vec<u8> {
    match header.version {
        Version::V1 => v1(header).into_bytes(),
        Version::V2 => v2(header, with_checksum),
    }
}

fn v1(header: &Header) -> String {
    match header.ends {
        Some((Addr::Inet(client), Addr::Inet(to))) if client.is_ipv4() == to.is_ipv4() => {
            let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {} {} {} {}\r\n", client.ip(), to.ip(), client.port(), to.port())
        }
        _ => "PROXY UNKNOWN\r\n".to_owned(),
    }
}

fn v2(header: &Header, with_checksum: bool) -> Vec<u8> {
    let (family, mut body) = match &header.ends {
        Some((Addr::Inet(SocketAddr::V4(client)), Addr::Inet(SocketAddr::V4(to)))) => {
            (0x11, [&client.ip().octets()[..], &to.ip().octets(), &ports(client.port(), to.port())].concat())
        }
        Some((Addr::Inet(SocketAddr::V6(client)), Addr::Inet(SocketAddr::V6(to)))) => {
            (0x21, [&client.ip().octets()[..], &to.ip().octets(), &ports(client.port(), to.port())].concat())
        }
        Some((Addr::Unix(client), Addr::Unix(to))) => (0x31, [unix(client), unix(to)].concat()),
        _ => (0x00, Vec::new()),
    };
    for tlv in &header.tlvs {
        push_tlv(&mut body, tlv.kind, &tlv.value);
    }
    if with_checksum {
        push_tlv(&mut body, CHECKSUM, &[0; 4]);
    }
    let command = match header.command {
        Command::Local => 0x20,
        Command::Proxy => 0x21,
    };
    let len = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let mut bytes = [&SIGNATURE[..], &[command, family], &len.to_be_bytes(), &body].concat();
    if with_checksum {
        let (at, sum) = (bytes.len() - 4, checksum(&[&bytes]));
        bytes[at..].copy_from_slice(&sum.to_be_bytes());
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

fn push_tlv(body: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.push(kind);
    body.extend_from_slice(&len.to_be_bytes());
    body.extend_from_slice(&value[..usize::from(len)]);
}
