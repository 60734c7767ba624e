//! Reading headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use swapwire_core::{Addr, UnixAddr};

use crate::header::{Command, Header, HeaderError, Version};
use crate::line;
use crate::tlvs::{self, MOST_TLVS, Tlvs};

/// How a header of version 2 begins.
pub(crate) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What comes before the addresses in version 2.
pub(crate) const FIXED: usize = 16;
/// The longest addresses of version 2.
pub(crate) const LONGEST_ADDRESSES: usize = 216;

/// Reads the header at the beginning of `bytes`, of one version or of either, and how many bytes it takes; `None` where more
/// have to come. What follows the addresses in version 2 may be `most_tlvs` bytes, and never more than [`Tlvs::MAX`].
///
/// ```
/// use swapwire_proxy::{Command, parse};
///
/// let (header, len) = parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\nhello", None, 0)?.ok_or("there is more")?;
/// let (client, destination) = header.ends.ok_or("it does not say")?;
/// assert_eq!((client.to_string(), destination.to_string()), ("192.0.2.1:5000".into(), "192.0.2.2:80".into()));
/// assert_eq!((header.command, len), (Command::Proxy, 40));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// No header begins so. This is told at the first byte that cannot belong to one; a length is judged by its two bytes, and what
/// follows the fixed part of version 2 when it is whole.
pub fn parse(bytes: &[u8], version: Option<Version>, most_tlvs: usize) -> Result<Option<(Header, usize)>, HeaderError> {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, due)| byte == due);
    match version {
        Some(Version::V1) | None if begins(line::START) => line::parse(bytes),
        Some(Version::V2) | None if begins(&SIGNATURE) => parse_binary(bytes, most_tlvs.min(MOST_TLVS)),
        None => Err(HeaderError("no PROXY header: a trusted source must send one")),
        Some(Version::V1) => Err(HeaderError("no PROXY header of version 1: a trusted source must send one")),
        Some(Version::V2) => Err(HeaderError("no PROXY header of version 2: a trusted source must send one")),
    }
}

fn parse_binary(bytes: &[u8], most_tlvs: usize) -> Result<Option<(Header, usize)>, HeaderError> {
    let command = match bytes.get(12) {
        None => return Ok(None),
        Some(0x20) => Command::Local,
        Some(0x21) => Command::Proxy,
        Some(byte) if byte >> 4 != 2 => return Err(HeaderError("the binary PROXY header is of an unknown version")),
        Some(_) => return Err(HeaderError("the PROXY header has an unknown command")),
    };
    // Addresses whose length the header does not fix are not told apart from what follows them.
    let (family, addresses) = match bytes.get(13) {
        None => return Ok(None),
        Some(_) if command == Command::Local => (0, None),
        Some(family @ (0x11 | 0x12)) => (*family, Some(12)),
        Some(family @ (0x21 | 0x22)) => (*family, Some(36)),
        Some(family @ (0x31 | 0x32)) => (*family, Some(LONGEST_ADDRESSES)),
        Some(family @ (0x00..=0x02 | 0x10 | 0x20 | 0x30)) => (*family, None),
        Some(_) => return Err(HeaderError("the PROXY header has an unknown family or protocol")),
    };
    let Some([high, low]) = bytes.get(14..FIXED) else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    if len < addresses.unwrap_or(0) {
        return Err(HeaderError("the PROXY header is too short for its addresses"));
    }
    if len > addresses.unwrap_or(LONGEST_ADDRESSES) + most_tlvs {
        return Err(HeaderError("the PROXY header is longer than max_tlvs allows"));
    }
    let Some(body) = bytes.get(FIXED..FIXED + len) else { return Ok(None) };
    let mut header = Header { version: Version::V2, command, ends: None, tlvs: Tlvs::default() };
    if command == Command::Proxy {
        let tlvs = &body[addresses.unwrap_or(0)..];
        header.tlvs = match Tlvs::read(tlvs) {
            Some(read) => {
                tlvs::verify(&bytes[..FIXED + len], tlvs.len())?;
                read
            }
            // Addresses of an unspecified family, which are to be ignored.
            None if addresses.is_none() => Tlvs::default(),
            None => return Err(HeaderError("a value of the PROXY header is cut short")),
        };
        header.ends = read_addresses(family, body);
    }
    Ok(Some((header, FIXED + len)))
}

/// The client, and where it connected to. Those of datagrams are ignored, as those of a family that is not specified.
fn read_addresses(family: u8, bytes: &[u8]) -> Option<(Addr, Addr)> {
    match family {
        0x11 => {
            let ip = |at| Some(IpAddr::V4(Ipv4Addr::from(array::<4>(bytes, at)?)));
            Some((inet(ip(0)?, port(bytes, 8)?), inet(ip(4)?, port(bytes, 10)?)))
        }
        0x21 => {
            let ip = |at| Some(IpAddr::V6(Ipv6Addr::from(array::<16>(bytes, at)?)));
            Some((inet(ip(0)?, port(bytes, 32)?), inet(ip(16)?, port(bytes, 34)?)))
        }
        0x31 => Some((unix(bytes.get(..108)?), unix(bytes.get(108..216)?))),
        _ => None,
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn port(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

pub(crate) fn inet(ip: IpAddr, port: u16) -> Addr {
    Addr::inet(SocketAddr::new(ip, port))
}

/// A path ends at its first NUL; an abstract name, which begins with one, at its last byte that is none.
fn unix(bytes: &[u8]) -> Addr {
    let addr = match bytes {
        [0, name @ ..] => {
            let len = name.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            if len == 0 { None } else { UnixAddr::from_abstract(&name[..len]) }
        }
        path => path_of(path.split(|byte| *byte == 0).next().unwrap_or_default()),
    };
    Addr::Unix(addr.unwrap_or(UnixAddr::UNNAMED))
}

#[cfg(unix)]
fn path_of(path: &[u8]) -> Option<UnixAddr> {
    use std::os::unix::ffi::OsStrExt as _;
    UnixAddr::from_path(std::ffi::OsStr::from_bytes(path).as_ref())
}

#[cfg(not(unix))]
fn path_of(_: &[u8]) -> Option<UnixAddr> {
    None
}
