//! Reading headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use swapwire_core::{Addr, Bytes, UnixAddr};

use crate::header::{Command, Header, HeaderError, Tlv, Version};

/// How a header of version 2 begins.
pub(crate) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// How a header of version 1 begins.
const LINE: &[u8] = b"PROXY ";
/// The longest header of version 1, with its end.
const LONGEST_LINE: usize = 107;
/// What comes before the addresses in version 2.
pub(crate) const FIXED: usize = 16;
/// The longest addresses of version 2.
pub(crate) const LONGEST_ADDRESSES: usize = 216;
/// The type of the checksum (`PP2_TYPE_CRC32C`).
pub(crate) const CHECKSUM: u8 = 0x03;

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header.
    Partial,
    /// A header, and how many bytes it takes.
    Whole(Header, usize),
}

/// Reads a header at the beginning of `bytes`, of one version or of any. In version 2, what follows the addresses may be
/// `most_tlvs` bytes.
///
/// # Errors
/// No header begins so: told at the first byte that cannot belong to one.
pub fn parse(bytes: &[u8], version: Option<Version>, most_tlvs: usize) -> Result<Parsed, HeaderError> {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, due)| byte == due);
    match version {
        Some(Version::V1) | None if begins(LINE) => parse_line(bytes),
        Some(Version::V2) | None if begins(&SIGNATURE) => parse_binary(bytes, most_tlvs),
        None => Err(HeaderError("no PROXY header: a trusted source must send one")),
        Some(Version::V1) => Err(HeaderError("no PROXY header of version 1: a trusted source must send one")),
        Some(Version::V2) => Err(HeaderError("no PROXY header of version 2: a trusted source must send one")),
    }
}

fn parse_line(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let shown = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = shown.iter().position(|byte| *byte == b'\n') else {
        if shown.len() == LONGEST_LINE {
            return Err(HeaderError("a PROXY line has at most 107 bytes"));
        }
        return can_go_on(shown).map(|()| Parsed::Partial);
    };
    let line = shown[..end].strip_suffix(b"\r").ok_or(HeaderError("a PROXY line ends with CR LF"))?;
    let text =
        std::str::from_utf8(&line[LINE.len().min(line.len())..]).map_err(|_| HeaderError("a PROXY line is ASCII"))?;
    let mut words = text.split(' ');
    let ends = match words.next() {
        Some("UNKNOWN") => None,
        Some("TCP4") => Some(ends(words, |word| word.parse().ok().map(IpAddr::V4))?),
        Some("TCP6") => Some(ends(words, |word| word.parse().ok().map(IpAddr::V6))?),
        _ => return Err(HeaderError("a PROXY line is for TCP4, TCP6 or UNKNOWN")),
    };
    // What nobody knows is the proxy's own connection (section 2.1).
    let command = if ends.is_some() { Command::Proxy } else { Command::Local };
    let header = Header { version: Version::V1, command, ends, tlvs: Vec::new() };
    Ok(Parsed::Whole(header, end + 1))
}

/// Whether the beginning of a line may become one.
fn can_go_on(line: &[u8]) -> Result<(), HeaderError> {
    let rest = &line[LINE.len().min(line.len())..];
    let fits = |kind: &[u8]| rest.iter().zip(kind).all(|(byte, due)| byte == due);
    if !(fits(b"TCP4 ") || fits(b"TCP6 ") || fits(b"UNKNOWN")) {
        return Err(HeaderError("a PROXY line is for TCP4, TCP6 or UNKNOWN"));
    }
    let (last, before) = rest.split_last().map_or((b' ', rest), |(last, before)| (*last, before));
    let printable = |byte: &u8| (b' '..=b'~').contains(byte);
    let ends_in_cr = last == b'\r';
    if !before.iter().all(|byte| printable(byte)) || !(ends_in_cr || printable(&last)) {
        return Err(HeaderError("a PROXY line is ASCII and ends with CR LF"));
    }
    Ok(())
}

fn ends<'a>(
    mut words: impl Iterator<Item = &'a str>,
    ip: impl Fn(&str) -> Option<IpAddr>,
) -> Result<(Addr, Addr), HeaderError> {
    const WRONG: HeaderError = HeaderError("a PROXY line has two addresses and two ports, each once and in one form");
    let mut ips = [(); 2].map(|()| words.next().and_then(&ip));
    let mut ports = [(); 2].map(|()| words.next().and_then(port));
    match (ips[0].take(), ips[1].take(), ports[0].take(), ports[1].take(), words.next()) {
        (Some(client), Some(to), Some(client_port), Some(to_port), None) => {
            Ok((inet(client, client_port), inet(to, to_port)))
        }
        _ => Err(WRONG),
    }
}

/// In its one form: digits, without a sign or a leading zero.
fn port(word: &str) -> Option<u16> {
    let canonical = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if canonical { word.parse().ok() } else { None }
}

fn inet(ip: IpAddr, port: u16) -> Addr {
    Addr::inet(SocketAddr::new(ip, port))
}

fn parse_binary(bytes: &[u8], most_tlvs: usize) -> Result<Parsed, HeaderError> {
    let command = match bytes.get(12) {
        None => return Ok(Parsed::Partial),
        Some(0x20) => Command::Local,
        Some(0x21) => Command::Proxy,
        Some(byte) if byte >> 4 != 2 => return Err(HeaderError("the binary PROXY header is of an unknown version")),
        Some(_) => return Err(HeaderError("the PROXY header has an unknown command")),
    };
    let addresses = match bytes.get(13) {
        None => return Ok(Parsed::Partial),
        // Unspecified: the real addresses count.
        Some(0x00) => 0,
        Some(0x11) => 12,
        Some(0x21) => 36,
        Some(0x31) => LONGEST_ADDRESSES,
        Some(_) if command == Command::Local => 0,
        Some(0x12 | 0x22 | 0x32) => return Err(HeaderError("the PROXY header is for datagrams, and this is a stream")),
        Some(_) => return Err(HeaderError("the PROXY header has an unknown family or protocol")),
    };
    let (Some(high), Some(low)) = (bytes.get(14), bytes.get(15)) else { return Ok(Parsed::Partial) };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    // Of the proxy's own connection nothing is read, so addresses and what follows are not told apart.
    let needed = if command == Command::Local { 0 } else { addresses };
    if len < needed {
        return Err(HeaderError("the PROXY header is too short for its addresses"));
    }
    if len > needed.max(if needed == 0 { LONGEST_ADDRESSES } else { 0 }) + most_tlvs {
        return Err(HeaderError("the PROXY header is longer than max_tlvs allows"));
    }
    let Some(body) = bytes.get(FIXED..FIXED + len) else { return Ok(Parsed::Partial) };
    let mut header = Header { version: Version::V2, command, ends: None, tlvs: Vec::new() };
    if command == Command::Proxy {
        let (addresses, tlvs) = body.split_at(addresses);
        header.ends = read_addresses(addresses);
        header.tlvs = read_tlvs(tlvs, &bytes[..FIXED + addresses.len()])?;
    }
    Ok(Parsed::Whole(header, FIXED + len))
}

fn read_addresses(bytes: &[u8]) -> Option<(Addr, Addr)> {
    match bytes.len() {
        12 => {
            let ip = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
            Some((inet(ip(0)?.into(), port_at(bytes, 8)?), inet(ip(4)?.into(), port_at(bytes, 10)?)))
        }
        36 => {
            let ip = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?));
            Some((inet(ip(0)?.into(), port_at(bytes, 32)?), inet(ip(16)?.into(), port_at(bytes, 34)?)))
        }
        LONGEST_ADDRESSES => Some((unix(&bytes[..108]), unix(&bytes[108..]))),
        _ => None,
    }
}

fn port_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
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

/// What follows the addresses, which stand at the end of `before`.
fn read_tlvs(bytes: &[u8], before: &[u8]) -> Result<Vec<Tlv>, HeaderError> {
    const CUT: HeaderError = HeaderError("a value of the PROXY header is cut short");
    let mut tlvs = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let [kind, high, low] = *bytes.get(at..at + 3).ok_or(CUT)? else { return Err(CUT) };
        let end = at + 3 + usize::from(u16::from_be_bytes([high, low]));
        let value = bytes.get(at + 3..end).ok_or(CUT)?;
        if kind == CHECKSUM {
            let told: [u8; 4] =
                value.try_into().map_err(|_| HeaderError("the PROXY header's checksum is not 4 bytes"))?;
            if u32::from_be_bytes(told) != checksum(&[before, &bytes[..at + 3], &[0; 4], &bytes[end..]]) {
                return Err(HeaderError("the PROXY header's checksum is wrong"));
            }
        }
        tlvs.push(Tlv { kind, value: Bytes::copy_from_slice(value) });
        at = end;
    }
    Ok(tlvs)
}

/// The CRC32C of the pieces of a header (section 2.2.3).
pub(crate) fn checksum(pieces: &[&[u8]]) -> u32 {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    let mut digest = CRC.digest();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}
