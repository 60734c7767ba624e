//! Reading the line of version 1 (section 2.1).

use std::net::IpAddr;

use swapwire_core::Addr;

use crate::header::{Command, Header, HeaderError, Version};
use crate::parse::inet;
use crate::tlvs::Tlvs;

/// How it begins.
pub(crate) const START: &[u8] = b"PROXY ";
/// The longest line, with its end.
const LONGEST: usize = 107;

const WRONG_KIND: HeaderError = HeaderError("a PROXY line is for TCP4, TCP6 or UNKNOWN");
const WRONG_ENDS: HeaderError = HeaderError(
    "a PROXY line has two addresses of its family and two ports, behind one space each and without leading zeros",
);
const TOO_LONG: HeaderError = HeaderError("a PROXY line has at most 107 bytes");

/// Reads the line that `bytes` begin with, as far as they go.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let Some(text) = bytes.get(START.len()..end.unwrap_or(bytes.len())) else { return Ok(None) };
    let ends = read_ends(&String::from_utf8_lossy(text), end.is_some())?;
    match end.map(|end| &bytes[end..]) {
        Some([b'\r', b'\n', rest @ ..]) => {
            // What nobody knows is the proxy's own connection.
            let command = if ends.is_some() { Command::Proxy } else { Command::Local };
            let header = Header { version: Version::V1, command, ends, tlvs: Tlvs::default() };
            Ok(Some((header, bytes.len() - rest.len())))
        }
        None | Some([b'\r']) if bytes.len() == LONGEST => Err(TOO_LONG),
        None | Some([b'\r']) => Ok(None),
        Some(_) => Err(HeaderError("a PROXY line ends with CR LF")),
    }
}

/// What stands behind `PROXY `: all of it, or a beginning.
fn read_ends(text: &str, is_whole: bool) -> Result<Option<(Addr, Addr)>, HeaderError> {
    let mut words = Words { rest: Some(text), is_whole };
    let Some(kind) = words.next(kind, kind_begins, WRONG_KIND)? else { return Ok(None) };
    let ip = match kind {
        Kind::Unknown => return Ok(None),
        Kind::Tcp4 => |word: &str| word.parse().ok().map(IpAddr::V4),
        Kind::Tcp6 => |word: &str| word.parse().ok().map(IpAddr::V6),
    };
    let ip_begins = |word: &str| COMPLETIONS.iter().any(|end| ip(&format!("{word}{end}")).is_some());
    let port_begins = |word: &str| word.is_empty() || port(word).is_some();
    let client = words.next(ip, ip_begins, WRONG_ENDS)?;
    let to = words.next(ip, ip_begins, WRONG_ENDS)?;
    let client_port = words.next(port, port_begins, WRONG_ENDS)?;
    let to_port = words.next(port, port_begins, WRONG_ENDS)?;
    match (client, to, client_port, to_port, words.rest) {
        (Some(client), Some(to), Some(client_port), Some(to_port), None) => {
            Ok(Some((inet(client, client_port), inet(to, to_port))))
        }
        (.., None) if !is_whole => Ok(None),
        _ => Err(WRONG_ENDS),
    }
}

/// Behind the beginning of an IP address, one of them makes it whole.
const COMPLETIONS: [&str; 10] = ["", "0", ".0", "0.0", ".0.0", "0.0.0", ".0.0.0", "0.0.0.0", ":", "::"];

/// Words with one space between them.
struct Words<'a> {
    rest: Option<&'a str>,
    /// Whether the last word is whole, too.
    is_whole: bool,
}

impl Words<'_> {
    /// The next word, if it is whole.
    fn next<T>(
        &mut self,
        parse: impl Fn(&str) -> Option<T>,
        begins: impl Fn(&str) -> bool,
        wrong: HeaderError,
    ) -> Result<Option<T>, HeaderError> {
        let Some(rest) = self.rest.take() else { return Ok(None) };
        let word = match rest.split_once(' ') {
            Some((word, rest)) => {
                self.rest = Some(rest);
                word
            }
            None if self.is_whole => rest,
            None if begins(rest) => return Ok(None),
            None => return Err(wrong),
        };
        parse(word).map(Some).ok_or(wrong)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Tcp4,
    Tcp6,
    Unknown,
}

const KINDS: [(&str, Kind); 3] = [("TCP4", Kind::Tcp4), ("TCP6", Kind::Tcp6), ("UNKNOWN", Kind::Unknown)];

fn kind(word: &str) -> Option<Kind> {
    KINDS.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind)
}

fn kind_begins(word: &str) -> bool {
    KINDS.iter().any(|(name, _)| name.starts_with(word))
}

/// In its one form: digits, without a sign or a leading zero.
fn port(word: &str) -> Option<u16> {
    let is_canonical = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    if is_canonical { word.parse().ok() } else { None }
}
