//! What the system writes beside a datagram: control messages and addresses, as any bytes at all.

use std::net::IpAddr;

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
}

fn source_comes_back(ip: IpAddr) {
    for v6 in [false, true] {
        let mut bytes = [0xaa; control::ROOM];
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
        let mut bytes = [0xaa; name::ROOM];
        if let Ok(len @ 1..) = name::write(&mut bytes, addr, peers) {
            assert_eq!(name::read(&bytes[..len], |read| read), Some(*addr));
        }
    }
}
