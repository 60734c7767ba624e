//! What is written is read, for whatever header.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use swapwire_core::{Addr, UnixAddr};
use swapwire_proxy::{Header, Version, encode, parse};

fn inet(is_v4: bool) -> impl Strategy<Value = Addr> {
    let ip = match is_v4 {
        true => any::<[u8; 4]>().prop_map(IpAddr::from).boxed(),
        // Also such as are written with `::`.
        false => prop::array::uniform8(prop_oneof![Just(0_u16), any::<u16>()]).prop_map(IpAddr::from).boxed(),
    };
    (ip, any::<u16>()).prop_map(|(ip, port)| Addr::Inet(SocketAddr::new(ip, port)))
}

/// A name may not end in NUL, nor a path have one, in the 108 bytes of a header.
fn unix() -> impl Strategy<Value = Addr> {
    let name = (prop::collection::vec(any::<u8>(), 0..106), 1..=u8::MAX);
    let named = name.prop_map(|(name, last)| UnixAddr::from_abstract(&[name, vec![last]].concat()));
    let path = prop::collection::vec(1..=u8::MAX, 0..=108).prop_map(|path| {
        #[cfg(unix)]
        return UnixAddr::from_path(std::path::Path::new(&*String::from_utf8_lossy(&path)));
        #[cfg(not(unix))]
        None
    });
    prop_oneof![named, path].prop_map(|addr| Addr::Unix(addr.unwrap_or(UnixAddr::UNNAMED)))
}

fn ends(is_text: bool) -> BoxedStrategy<(Addr, Addr)> {
    let inet = prop_oneof![(inet(true), inet(true)), (inet(false), inet(false))];
    if is_text { inet.boxed() } else { prop_oneof![inet, (unix(), unix())].boxed() }
}

/// As it is read: an IPv4 address has one form.
fn normal(addr: Addr) -> Addr {
    match addr {
        Addr::Inet(addr) => Addr::inet(addr),
        other => other,
    }
}

fn check(mut header: Header, checksum: bool, behind: &[u8]) -> Result<(), TestCaseError> {
    let bytes = encode(&header, checksum);
    header.ends = header.ends.map(|(client, to)| (normal(client), normal(to)));
    for end in 0..bytes.len() {
        prop_assert_eq!(parse(&bytes[..end], None, 4096), Ok(None), "{} of {}", end, bytes.escape_ascii());
    }
    let len = bytes.len();
    prop_assert!(header.version == Version::V2 || len <= 107);
    prop_assert_eq!(parse(&[bytes, behind.to_vec()].concat(), None, 4096), Ok(Some((header, len))));
    Ok(())
}

proptest! {
    #[test]
    fn lines(ends in ends(true), behind: Vec<u8>) {
        check(Header::proxied(Version::V1, ends.0, ends.1), false, &behind)?;
    }

    #[test]
    fn binary_headers(
        ends in ends(false),
        tlvs in prop::collection::vec((prop_oneof![Just(0_u8), Just(1), Just(2), 5..=u8::MAX], any::<Vec<u8>>()), 0..8),
        checksum: bool,
        behind: Vec<u8>,
    ) {
        let mut header = Header::proxied(Version::V2, ends.0, ends.1);
        for (kind, value) in &tlvs {
            header.tlvs.push(*kind, value).unwrap();
        }
        check(header, checksum, &behind)?;
    }

    /// Whatever the bytes, more of them change neither a header nor an error.
    #[test]
    fn more_bytes_change_nothing(bytes in hostile()) {
        let mut known = None;
        for end in 0..=bytes.len() {
            let parsed = parse(&bytes[..end], None, 64);
            prop_assert!(known.is_none() || known.as_ref() == Some(&parsed), "{:?} {:?} {:?}", end, known, parsed);
            if parsed != Ok(None) {
                known = Some(parsed);
            }
        }
    }
}

/// Beginnings of headers, and what may follow.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("TCP4"),
        Just("TCP6"),
        Just("UNKNOWN"),
        Just("1.2.3.4"),
        Just("::1"),
        Just("80"),
        Just(" "),
        Just("\r\n"),
        Just("0"),
        Just(":")
    ];
    let line = prop::collection::vec(word, 0..12).prop_map(|words| format!("PROXY {}", words.concat()).into_bytes());
    let fixed = (0x1f..0x23_u8, 0..0x40_u8, 0..3_u8, any::<u8>(), prop::collection::vec(any::<u8>(), 0..300));
    let binary = fixed.prop_map(|(command, family, high, low, body)| {
        [b"\r\n\r\n\0\r\nQUIT\n", &[command, family, high, low][..], &body].concat()
    });
    prop_oneof![line, binary, any::<Vec<u8>>()]
}
