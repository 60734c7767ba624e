//! What the system writes beside a datagram: control messages and addresses, as any bytes at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;

use swapwire_core::{Addr, UnixAddr};
use swapwire_mmsg::Peers;

use super::source::Source;

// As `swapwire-mmsg` has them; nobody else can see them there.
#[path = "../../crates/mmsg/src/control.rs"]
#[allow(clippy::module_inception, reason = "it is a file of another crate")]
mod control;
#[path = "../../crates/mmsg/src/name.rs"]
mod name;

/// Reads bytes as both, and writes what it made of them.
pub fn control(data: &[u8]) {
    let told = control::read(data);
    if let Some(ip) = told.local {
        source_comes_back(ip);
    }
    name::read(data, |addr| addr.iter().for_each(name_comes_back));

    let mut source = Source::new(data);
    let port = u16::from_ne_bytes([source.byte(), source.byte()]);
    if let Ok(ip) = <[u8; 16]>::try_from(source.take(16)) {
        name_comes_back(&Addr::inet((IpAddr::from(ip), port).into()));
    }
    UnixAddr::from_abstract(data).map(Addr::Unix).iter().for_each(name_comes_back);
    messages(Source::new(data));
}

/// Control messages as `cmsg(3)` lays them out, of which the last of each kind counts.
fn messages(mut source: Source<'_>) {
    let (mut bytes, mut told) = (Vec::new(), control::Told::default());
    while !source.is_empty() && bytes.len() < 256 {
        let (kind, len) = (source.byte() & 3, source.byte() & 31);
        let data = source.take(len.into());
        let v4 = || data.get(4..8)?.try_into().ok().map(|ip: [u8; 4]| IpAddr::from(ip));
        let v6 = || data.get(..16)?.try_into().ok().map(|ip: [u8; 16]| IpAddr::from(ip).to_canonical());
        let size = || data.get(..4)?.try_into().ok().and_then(|size| usize::try_from(i32::from_ne_bytes(size)).ok());
        let (level, kind) = match kind {
            0 => (libc::IPPROTO_IP, libc::IP_PKTINFO),
            1 => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
            2 => (libc::SOL_UDP, libc::UDP_GRO),
            _ => (libc::SOL_SOCKET, libc::SCM_TIMESTAMP),
        };
        match kind {
            libc::IP_PKTINFO if level == libc::IPPROTO_IP => told.local = v4().filter(answers),
            libc::IPV6_PKTINFO if level == libc::IPPROTO_IPV6 => told.local = v6().filter(answers),
            libc::UDP_GRO if level == libc::SOL_UDP => told.segment = size().and_then(NonZeroUsize::new),
            _ => {}
        }
        bytes.extend((size_of::<usize>() + 8 + data.len()).to_ne_bytes());
        bytes.extend(level.to_ne_bytes().into_iter().chain(kind.to_ne_bytes()).chain(data.iter().copied()));
        bytes.resize(bytes.len().next_multiple_of(size_of::<usize>()), 0xaa);
    }
    assert_eq!(control::read(&bytes), told, "{bytes:?}");
}

/// Whether an answer can leave from there.
fn answers(ip: &IpAddr) -> bool {
    let none = [IpAddr::V4(Ipv4Addr::BROADCAST), Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    !ip.is_multicast() && !none.contains(ip)
}

fn source_comes_back(ip: IpAddr) {
    for v6 in [false, true] {
        let mut bytes = [0xaa; control::SPACE];
        let Ok(len) = control::write_source(&mut bytes, ip, v6) else {
            assert!(ip.is_ipv6() && !v6);
            continue;
        };
        assert_eq!(control::read(&bytes[..len]), control::Told { local: Some(ip), segment: None });
        let all = control::write_segment(&mut bytes, len, 1200);
        assert_eq!(control::read(&bytes[..all]).local, Some(ip));
    }
}

fn name_comes_back(addr: &Addr) {
    for peers in [Peers::One, Peers::Inet, Peers::Inet6, Peers::Unix] {
        let mut bytes = [0xaa; name::MAX_LEN];
        if let Ok(len @ 1..) = name::write(&mut bytes, addr, peers) {
            assert_eq!(name::read(&bytes[..len], |read| read), Some(*addr));
        }
    }
}
