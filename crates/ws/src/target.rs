//! Targets of requests (RFC 3986, 3.3 and 3.4; RFC 9112, 3.2.1).

use std::fmt::Write as _;

/// `text` as a target: what may not stand there is percent-encoded. A `%` before two digits is taken for such an escape, and
/// the first `?` begins the query.
pub(crate) fn encode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut target = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let stays = match byte {
            b'%' => escaped(&bytes[at..]).is_some(),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(byte),
        };
        if stays {
            target.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(target, "%{byte:02X}");
        }
    }
    target
}

/// The byte that an escape at the front of `bytes` says.
fn escaped(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

/// The bytes that a text with escapes says.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (&byte, behind) = rest.split_first()?;
        let escaped = escaped(rest);
        rest = if escaped.is_some() { &rest[3..] } else { behind };
        Some(escaped.unwrap_or(byte))
    })
}

/// Whether two paths are one, whichever bytes are written as escapes.
pub(crate) fn is_same(path: &str, other: &str) -> bool {
    decoded(path).eq(decoded(other))
}

/// The path and the query of a request's target, which may have the scheme and the host before them, as for proxies.
pub(crate) fn without_host(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return Some(target);
    }
    let (scheme, rest) = target.split_once("://")?;
    let is_known = ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    match rest.find(['/', '?']) {
        _ if !is_known => None,
        Some(at) => Some(&rest[at..]).filter(|path| path.starts_with('/')),
        None => Some("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_stand_in_a_target_is_encoded() {
        for (text, target) in [
            ("/", "/"),
            ("/runCase?case=1&agent=x", "/runCase?case=1&agent=x"),
            ("/a b#c", "/a%20b%23c"),
            ("/größe", "/gr%C3%B6%C3%9Fe"),
            ("/100%", "/100%25"),
            ("/a%2Fb%zz", "/a%2Fb%25zz"),
            ("/\r\nHost: x", "/%0D%0AHost:%20x"),
        ] {
            assert_eq!(encode(text), target);
            assert!(is_same(text, &encode(text)));
        }
    }

    #[test]
    fn paths_are_compared_by_their_bytes() {
        for (path, other, same) in [
            ("/chat", "/chat", true),
            ("/%63hat", "/chat", true),
            ("/%c3%B6", "/ö", true),
            ("/chat", "/chat/", false),
            ("/chat", "/Chat", false),
            ("/%", "/%25", true),
            ("/a", "/", false),
        ] {
            assert_eq!(is_same(path, other), same, "{path} {other}");
        }
    }

    #[test]
    fn a_target_may_have_a_host_before_its_path() {
        for (target, path) in [
            ("/a?b", Some("/a?b")),
            ("http://h:1/a?b", Some("/a?b")),
            ("WSS://h", Some("/")),
            ("http://h?b", None),
            ("ftp://h/a", None),
            ("*", None),
            ("h:443", None),
        ] {
            assert_eq!(without_host(target), path, "{target}");
        }
    }
}
