//! Control messages in the layout of `cmsg(3)`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;

/// Room for the most that one datagram has: an `in6_pktinfo` and the size of a train's segments.
pub(crate) const SPACE: usize = INFO + align(HEADER + size_of::<i32>());

/// The header: a length, a level and a type, whatever the C library calls the first of them.
const HEADER: usize = size_of::<usize>() + 2 * size_of::<i32>();
const INFO: usize = align(HEADER + size_of::<libc::in6_pktinfo>());

const fn align(len: usize) -> usize {
    len.next_multiple_of(size_of::<usize>())
}

/// What the control messages of a received datagram say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The local address that was asked, where an answer can leave from it.
    pub(crate) local: Option<IpAddr>,
    /// It is a train of datagrams of this size.
    pub(crate) segment: Option<NonZeroUsize>,
}

#[inline(never)]
pub(crate) fn read(mut control: &[u8]) -> Told {
    let mut told = Told::default();
    while let Some((len, rest)) = control.split_first_chunk() {
        let len = usize::from_ne_bytes(*len);
        let Some(data) = control.get(HEADER..len) else { break };
        let Some((level, rest)) = rest.split_first_chunk() else { break };
        let Some(kind) = rest.first_chunk() else { break };
        match (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind)) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let size = data.first_chunk().map_or(0, |size| i32::from_ne_bytes(*size));
                told.segment = usize::try_from(size).ok().and_then(NonZeroUsize::new);
            }
            // `ipi_spec_dst`, behind the interface. Of a broadcast or multicast it is the address of the interface.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                told.local = data.get(4..).and_then(<[u8]>::first_chunk).and_then(|ip: &[u8; 4]| asked((*ip).into()));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                told.local = data.first_chunk().and_then(|ip: &[u8; 16]| asked((*ip).into()));
            }
            _ => {}
        }
        control = control.get(align(len)..).unwrap_or_default();
    }
    told
}

fn asked(ip: IpAddr) -> Option<IpAddr> {
    let ip = ip.to_canonical();
    (!ip.is_multicast() && !ip.is_unspecified() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)).then_some(ip)
}

/// Writes the address to send from, the interface left to the system, and gives how many bytes that is.
#[inline(never)]
pub(crate) fn write_source(control: &mut [u8; SPACE], ip: IpAddr, v6: bool) -> io::Result<usize> {
    match ip {
        IpAddr::V4(ip) if v6 => Ok(write_source6(control, ip.to_ipv6_mapped())),
        IpAddr::V6(ip) if v6 => Ok(write_source6(control, ip)),
        IpAddr::V4(ip) => {
            let mut info = [0; size_of::<libc::in_pktinfo>()];
            info[4..8].copy_from_slice(&ip.octets());
            Ok(write(control, 0, libc::IPPROTO_IP, libc::IP_PKTINFO, info))
        }
        IpAddr::V6(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "an IPv4 socket has no IPv6 address")),
    }
}

fn write_source6(control: &mut [u8; SPACE], ip: Ipv6Addr) -> usize {
    let mut info = [0; size_of::<libc::in6_pktinfo>()];
    info[..16].copy_from_slice(&ip.octets());
    write(control, 0, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
}

/// Writes the size of the segments behind the `len` bytes that are there, and gives how many there are then.
#[inline(never)]
pub(crate) fn write_segment(control: &mut [u8; SPACE], len: usize, size: usize) -> usize {
    let size = u16::try_from(size).unwrap_or(u16::MAX);
    write(control, len, libc::SOL_UDP, libc::UDP_SEGMENT, size.to_ne_bytes())
}

fn write<const N: usize>(control: &mut [u8; SPACE], len: usize, level: i32, kind: i32, data: [u8; N]) -> usize {
    let message = &mut control[len..len + HEADER + N];
    message[..size_of::<usize>()].copy_from_slice(&(HEADER + N).to_ne_bytes());
    message[HEADER - 8..HEADER - 4].copy_from_slice(&level.to_ne_bytes());
    message[HEADER - 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
    message[HEADER..].copy_from_slice(&data);
    len + align(HEADER + N)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (from, v6) in [("127.0.0.9", false), ("127.0.0.9", true), ("::1", true)] {
            let mut control = [0xaa; SPACE];
            let len = write_source(&mut control, ip(from), v6).unwrap();
            assert_eq!(read(&control[..len]), Told { local: Some(ip(from)), segment: None });
            let all = write_segment(&mut control, len, 9);
            assert!(all <= SPACE);
            assert_eq!(read(&control[..len]).local, Some(ip(from)));
        }
        let error = write_source(&mut [0; SPACE], ip("::1"), false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn an_address_that_nobody_can_answer_from_is_none() {
        for text in ["224.0.0.1", "255.255.255.255", "0.0.0.0", "ff02::1", "::"] {
            let mut control = [0; SPACE];
            let len = write_source(&mut control, text.parse().unwrap(), true).unwrap();
            assert_eq!(read(&control[..len]), Told::default(), "{text}");
        }
    }

    #[test]
    fn trains_are_read_behind_other_messages_and_nonsense_is_not() {
        let mut control = [0; SPACE];
        let len = write_source(&mut control, "::1".parse().unwrap(), true).unwrap();
        let all = write(&mut control, len, libc::SOL_UDP, libc::UDP_GRO, 1200_i32.to_ne_bytes());
        assert_eq!(all, SPACE);
        let told = read(&control);
        assert_eq!((told.local.is_some(), told.segment), (true, NonZeroUsize::new(1200)));
        for cut in 0..SPACE {
            let _ = read(&control[..cut]);
        }
        let mut wrong = control;
        wrong[..8].copy_from_slice(&usize::MAX.to_ne_bytes());
        assert_eq!(read(&wrong), Told::default());
        assert_eq!(read(&[0; SPACE]), Told::default());
    }
}
