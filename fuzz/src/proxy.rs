//! Headers of the PROXY protocol, against two readers that others wrote.
//!
//! What is a header for us is one for `ppp` and `proxy-header`, and the other way round, with the same addresses. Where the
//! specification and one of them differ, [`they_refuse`] and [`they_accept`] have the reason.

use std::net::SocketAddr;

use ppp::{v1, v2};
use proxy_header::{ParseConfig, ProxyHeader};
use swapwire_core::Addr;
use swapwire_proxy::{Header, HeaderError, Tlvs, Version, encode, parse};

use super::endpoint::is_one_line;
use super::source::Source;

/// The longest header is 65,551 bytes; most say what they have to in less.
const LONGEST: usize = 2048;

type Ends = Option<(Addr, Addr)>;

/// A limit on what follows the addresses, and a header or something like one.
pub fn proxy(data: &[u8]) {
    let mut source = Source::new(data);
    let most = source.limit();
    let bytes = source.rest();
    let bytes = &bytes[..bytes.len().min(LONGEST)];

    more_bytes_change_nothing(bytes, most);
    for version in [Version::V1, Version::V2] {
        let only = parse(bytes, Some(version), most);
        match parse(bytes, None, most) {
            Ok(Some((header, len))) if header.version == version => assert_eq!(only, Ok(Some((header, len)))),
            Ok(Some(_)) | Err(_) => assert!(only.is_err()),
            Ok(None) => assert!(bytes.is_empty() || only == Ok(None) || only.is_err()),
        }
    }
    let ours = parse(bytes, None, Tlvs::MAX);
    match &ours {
        Ok(Some((header, len))) => {
            there_and_back(header);
            let whole = &bytes[..*len];
            for (oracle, read) in [("ppp", with_ppp(whole)), ("proxy-header", with_proxy_header(whole))] {
                match read {
                    Some((ends, length)) => {
                        assert_eq!(length, *len, "{oracle}: {}", whole.escape_ascii());
                        let ends = ends.or_else(|| header.ends.filter(|_| has_unix(whole)));
                        assert_eq!(stream_ends(whole, ends), header.ends, "{oracle}: {}", whole.escape_ascii());
                    }
                    None => assert!(they_refuse(oracle, whole), "{oracle} refuses {}", whole.escape_ascii()),
                }
            }
        }
        Ok(None) | Err(_) => {
            for (oracle, read) in [("ppp", with_ppp(bytes)), ("proxy-header", with_proxy_header(bytes))] {
                let Some((_, len)) = read else { continue };
                let error = ours.as_ref().err();
                let accepted = error.is_some_and(|error| they_accept(&bytes[..len], error));
                assert!(accepted, "{oracle} accepts {}, we say {ours:?}", bytes.escape_ascii());
            }
        }
    }
}

fn more_bytes_change_nothing(bytes: &[u8], most: usize) {
    let mut known: Option<Result<Option<(Header, usize)>, HeaderError>> = None;
    for end in 0..=bytes.len() {
        let parsed = parse(&bytes[..end], None, most);
        if let Err(error) = &parsed {
            is_one_line(error);
        }
        match &known {
            Some(known) => assert_eq!(known, &parsed, "{end} bytes of {}", bytes.escape_ascii()),
            None if parsed == Ok(None) => {}
            None => {
                if let Ok(Some((_, len))) = &parsed {
                    assert_eq!(*len, end, "{}", bytes.escape_ascii());
                }
                known = Some(parsed);
            }
        }
    }
}

fn there_and_back(header: &Header) {
    // One of two addresses may be of the other family, mapped into its own.
    if let Some((Addr::Inet(client), Addr::Inet(to))) = &header.ends
        && client.is_ipv4() != to.is_ipv4()
    {
        return;
    }
    for checksum in [false, true] {
        let bytes = encode(header, checksum);
        assert_eq!(parse(&bytes, None, Tlvs::MAX), Ok(Some((header.clone(), bytes.len()))), "{}", bytes.escape_ascii());
    }
}

fn inet(client: SocketAddr, to: SocketAddr) -> Ends {
    Some((Addr::inet(client), Addr::inet(to)))
}

/// The addresses of a whole header, and its length.
fn with_ppp(bytes: &[u8]) -> Option<(Ends, usize)> {
    if let Ok(header) = v2::Header::try_from(bytes) {
        let ends = match header.addresses {
            v2::Addresses::IPv4(ends) => inet(
                (ends.source_address, ends.source_port).into(),
                (ends.destination_address, ends.destination_port).into(),
            ),
            v2::Addresses::IPv6(ends) => inet(
                (ends.source_address, ends.source_port).into(),
                (ends.destination_address, ends.destination_port).into(),
            ),
            v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
        };
        return Some((ends, header.as_bytes().len()));
    }
    let header = v1::Header::try_from(bytes).ok()?;
    let ends = match header.addresses {
        v1::Addresses::Tcp4(ends) => inet(
            (ends.source_address, ends.source_port).into(),
            (ends.destination_address, ends.destination_port).into(),
        ),
        v1::Addresses::Tcp6(ends) => inet(
            (ends.source_address, ends.source_port).into(),
            (ends.destination_address, ends.destination_port).into(),
        ),
        v1::Addresses::Unknown => None,
    };
    Some((ends, header.header.len()))
}

fn with_proxy_header(bytes: &[u8]) -> Option<(Ends, usize)> {
    let (header, len) = ProxyHeader::parse(bytes, ParseConfig::default()).ok()?;
    Some((header.proxied_address().and_then(|ends| inet(ends.source, ends.destination)), len))
}

fn is_binary(header: &[u8]) -> bool {
    header.starts_with(b"\r\n")
}

/// Neither of them gives the addresses of Unix sockets as such.
fn has_unix(header: &[u8]) -> bool {
    is_binary(header) && header[12] == 0x21 && header[13] == 0x31
}

/// Those that count: not of what is local, nor of datagrams.
fn stream_ends(header: &[u8], ends: Ends) -> Ends {
    let counts = !is_binary(header) || (header[12] == 0x21 && matches!(header[13], 0x11 | 0x21 | 0x31));
    ends.filter(|_| counts)
}

/// Why one of them refuses what is a header.
fn they_refuse(oracle: &str, header: &[u8]) -> bool {
    if is_binary(header) {
        // "Discard the protocol block including the family which is ignored": they look at it.
        let is_local = header[12] == 0x20;
        // Nor do they take a family without a protocol, or a protocol without a family, for what is not specified.
        is_local || matches!(header[13], 0x01 | 0x02 | 0x10 | 0x20 | 0x30)
    } else {
        // "Must ignore anything presented before the CRLF": `ppp` wants text, and few words of it.
        oracle == "ppp" && header.starts_with(b"PROXY UNKNOWN")
    }
}

/// Why they accept what is none.
fn they_accept(header: &[u8], error: &HeaderError) -> bool {
    if is_binary(header) {
        // Values and checksums are their user's business.
        return match (&*error.to_string(), values(header)) {
            ("a value of the PROXY header is cut short", None) => true,
            ("the PROXY header's checksum is not 4 bytes", Some(values)) => {
                values.iter().any(|(_, kind, value)| *kind == 3 && value.len() != 4)
            }
            ("the PROXY header's checksum is wrong", Some(values)) => {
                values.iter().any(|(at, kind, value)| *kind == 3 && *value != checksum(header, *at))
            }
            _ => false,
        };
    }
    let text = &header[..header.len() - 2];
    let words: Vec<_> = text.split(|byte| *byte == b' ').collect();
    let has_sign_or_zero = |word: &&[u8]| word.starts_with(b"+") || (word.len() > 1 && word.starts_with(b"0"));
    // Ports "without heading zeroes", "exactly one space", 107 bytes at most, no LF without CR.
    words.iter().skip(4).any(has_sign_or_zero)
        || text.get(5) != Some(&b' ')
        || words.get(1).is_some_and(|word| word.starts_with(b"UNKNOWN") && word.len() > 7)
        || header.len() > 107
        || text.contains(&b'\n')
        || !header.ends_with(b"\r\n")
}

/// Where each value stands, its type and its bytes; `None` if the last is cut short.
fn values(header: &[u8]) -> Option<Vec<(usize, u8, &[u8])>> {
    let mut at = match header[13] {
        0x11 | 0x12 => 28,
        0x21 | 0x22 => 52,
        0x31 | 0x32 => 232,
        _ => 16,
    };
    let mut values = Vec::new();
    while at < header.len() {
        let len = usize::from(u16::from_be_bytes([*header.get(at + 1)?, *header.get(at + 2)?]));
        values.push((at + 3, header[at], header.get(at + 3..at + 3 + len)?));
        at += 3 + len;
    }
    Some(values)
}

/// Bit by bit, with zeros for the four bytes at `at` (RFC 4960, appendix B).
fn checksum(header: &[u8], at: usize) -> [u8; 4] {
    let byte = |(index, byte): (usize, &u8)| if (at..at + 4).contains(&index) { 0 } else { *byte };
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    let bytes = header.iter().enumerate().map(byte);
    let crc = bytes.fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)));
    (!crc).to_be_bytes()
}
