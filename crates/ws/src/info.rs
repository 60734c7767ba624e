//! What the handshake has told.

use std::fmt;

use swapwire_core::Printable;

/// What the handshake of a WebSocket has told; [`Peer::get`](swapwire_core::Peer::get) gives it, at a server and at a client.
///
/// All of it is text as it was sent, in one allocation: bytes of a header that are not UTF-8 are `�`.
#[derive(Clone, PartialEq, Eq)]
pub struct WsInfo {
    /// Path, query, origin, subprotocol, one behind the other; behind them the headers, as lines of `name:value`.
    text: Box<str>,
    /// Where each of them ends, and [`IS_THERE`], if only empty.
    ends: [u16; PARTS],
}

/// Above the length of any head.
const IS_THERE: u16 = 0x8000;
const PARTS: usize = 4;
const PATH: usize = 0;
const QUERY: usize = 1;
const ORIGIN: usize = 2;
const SUBPROTOCOL: usize = 3;

impl WsInfo {
    /// `target` is that of the request; together they are no longer than a head may be, so that a part's end fits 16 bits.
    pub(crate) fn new<'a>(
        target: &str,
        origin: Option<&str>,
        subprotocol: Option<&str>,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let (path, query) = split(target);
        let (mut text, mut ends) = (String::new(), [0; PARTS]);
        for (index, part) in [Some(path), query, origin, subprotocol].into_iter().enumerate() {
            text.push_str(part.unwrap_or_default());
            ends[index] = text.len() as u16 | if part.is_some() { IS_THERE } else { 0 };
        }
        for (name, value) in headers {
            text.extend([name, ":", &String::from_utf8_lossy(value), "\n"]);
        }
        Self { text: text.into_boxed_str(), ends }
    }

    fn part(&self, index: usize) -> Option<&str> {
        let start = if index == 0 { 0 } else { self.end(index - 1) };
        (self.ends[index] & IS_THERE != 0).then(|| &self.text[start..self.end(index)])
    }

    fn end(&self, index: usize) -> usize {
        usize::from(self.ends[index] & !IS_THERE)
    }

    /// The path of the request, with its percent-encoding: `/chat`.
    pub fn path(&self) -> &str {
        self.part(PATH).unwrap_or_default()
    }

    /// What stands behind the `?` of the request, with its percent-encoding; `None` without one.
    pub fn query(&self) -> Option<&str> {
        self.part(QUERY)
    }

    /// Where the page comes from that connects, as its browser says; `None` of what is no browser, which may also say what it
    /// likes.
    pub fn origin(&self) -> Option<&str> {
        self.part(ORIGIN)
    }

    /// The subprotocol that was agreed on; `None` if none was.
    pub fn subprotocol(&self) -> Option<&str> {
        self.part(SUBPROTOCOL)
    }

    /// The headers that the server's endpoint names (`headers=cookie,user-agent`), as far as the request has them: names as
    /// the endpoint has them, in the order of the request.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.text[self.end(PARTS - 1)..].split_terminator('\n');
        lines.map(|line| line.split_once(':').unwrap_or((line, "")))
    }

    /// The first of those that has this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// What it takes in memory beside itself, in bytes.
    pub fn memory(&self) -> usize {
        self.text.len()
    }
}

/// The path of a request's target, and the query.
pub(crate) fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

impl fmt::Debug for WsInfo {
    /// Without the values of headers, among which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsInfo")
            .field("path", &format_args!("{}", Printable::new(self.path())))
            .field("query", &self.query().map(str::len))
            .field("origin", &self.origin())
            .field("subprotocol", &self.subprotocol())
            .field("headers", &self.headers().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_given_back() {
        let headers = [("cookie", &b"a=b: c"[..]), ("user-agent", b"\xe9"), ("cookie", b"")];
        let info = WsInfo::new("/chat?x=1?y", Some("http://h"), None, headers);
        assert_eq!((info.path(), info.query(), info.origin()), ("/chat", Some("x=1?y"), Some("http://h")));
        assert_eq!(info.subprotocol(), None);
        assert!(info.headers().eq([("cookie", "a=b: c"), ("user-agent", "\u{fffd}"), ("cookie", "")]));
        assert_eq!((info.header("Cookie"), info.header("host")), (Some("a=b: c"), None));
        let plain = WsInfo::new("/?", None, Some("s"), []);
        assert_eq!((plain.path(), plain.query(), plain.subprotocol()), ("/", Some(""), Some("s")));
        assert_eq!((plain.headers().count(), plain.memory()), (0, 2));
        assert!(!format!("{info:?}").contains("a=b"), "{info:?}");
    }
}
