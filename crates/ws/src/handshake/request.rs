//! What a server asks of a request (RFC 6455, 4.2.1).

use httparse::{EMPTY_HEADER, Header, Request, Status};
use swapwire_core::Printable;

use super::head::MOST_HEADERS;
use super::refusal::Refusal;
use super::{VERSION, accept_of, all, has_word, is_key, once, words};
use crate::info::{WsInfo, split};
use crate::origin::Origins;
use crate::target;

/// How much of a request's text is shown, in bytes.
const SHOWN: usize = 128;

/// Who may connect, and what is told of them.
#[derive(Debug)]
pub(crate) struct Policy {
    /// `None` takes any.
    pub(crate) path: Option<String>,
    pub(crate) origins: Origins,
    /// The preferred one first.
    pub(crate) protocols: Vec<String>,
    /// Headers that handlers see.
    pub(crate) headers: Vec<String>,
}

pub(super) enum Asked {
    /// A WebSocket: what is answered, and what is known of it.
    Socket(String, WsInfo),
    /// The endpoint's path, by plain HTTP.
    Page,
}

impl Policy {
    pub(super) fn judge(&self, head: &[u8]) -> Result<Asked, Refusal> {
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut request = Request::new(&mut headers);
        match request.parse(head) {
            Ok(Status::Complete(len)) if len == head.len() => {}
            Ok(_) => return Err(Refusal::bad("the request is not HTTP/1.1: it ends before its head does")),
            Err(httparse::Error::TooManyHeaders) => {
                let reason = format!("the request has more than {MOST_HEADERS} headers");
                return Err(Refusal::new("431 Request Header Fields Too Large", reason));
            }
            Err(error) => return Err(Refusal::bad(format!("the request is not HTTP/1.1: {error}"))),
        }
        let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let headers = &*request.headers;
        if request.version != Some(1) {
            return Err(Refusal::new("505 HTTP Version Not Supported", "a WebSocket begins with HTTP/1.1"));
        }
        let host = single(headers, "Host")?.ok_or_else(|| Refusal::bad("the request has no Host header"))?;
        if method != "GET" {
            return Err(Refusal::method());
        }
        if all(headers, "Transfer-Encoding").next().is_some()
            || all(headers, "Content-Length").any(|length| length != b"0")
        {
            return Err(Refusal::bad("the request has a body"));
        }
        let target = self.target(target)?;
        if !has_word(headers, "Upgrade", "websocket") {
            return Ok(Asked::Page);
        }
        if !has_word(headers, "Connection", "upgrade") {
            return Err(Refusal::bad("the request has no Connection: Upgrade; does a proxy in front take it out?"));
        }
        if single(headers, "Sec-WebSocket-Version")? != Some(VERSION) {
            return Err(Refusal::version());
        }
        let key = single(headers, "Sec-WebSocket-Key")?.filter(|key| is_key(key.as_bytes()));
        let key = key.ok_or_else(|| Refusal::bad("the request has no Sec-WebSocket-Key of 16 bytes in Base64"))?;
        let origin = single(headers, "Origin")?;
        if let Some(origin) = origin.filter(|origin| !self.origins.allow(origin, host)) {
            return Err(self.forbidden(origin, host));
        }
        let protocol =
            self.protocols.iter().find(|ours| words(headers, "Sec-WebSocket-Protocol").any(|own| own == **ours));
        let protocol = protocol.map(String::as_str);
        let named = headers.iter().filter_map(|header| {
            let name = self.headers.iter().find(|name| name.eq_ignore_ascii_case(header.name))?;
            Some((&**name, header.value))
        });
        let info = WsInfo::new(target, origin, protocol, named);
        Ok(Asked::Socket(answer(key, protocol), info))
    }

    /// The path and the query, where the path is that of the endpoint.
    fn target<'a>(&self, target: &'a str) -> Result<&'a str, Refusal> {
        let shown = Printable::new(target).at_most(SHOWN);
        let target = target::without_host(target).filter(|target| !target.contains('#'));
        let target = target.ok_or_else(|| Refusal::bad(format!("the request is for {shown}, which is no path")))?;
        match &self.path {
            Some(path) if !target::is_same(split(target).0, path) => {
                Err(Refusal::new("404 Not Found", format!("no WebSocket is at {shown}")))
            }
            _ => Ok(target),
        }
    }

    fn forbidden(&self, origin: &str, host: &str) -> Refusal {
        let [origin, host] = [origin, host].map(|text| Printable::new(text).at_most(SHOWN));
        let reason = format!(
            "pages of {origin} may not connect to {host}: origin= lists those that may, host= this host's names"
        );
        Refusal::new("403 Forbidden", reason)
    }
}

fn single<'a>(headers: &'a [Header<'a>], name: &'a str) -> Result<Option<&'a str>, Refusal> {
    once(headers, name).map_err(|how| Refusal::bad(format!("the request has {name} {how}")))
}

fn answer(key: &str, protocol: Option<&str>) -> String {
    let protocol = protocol.map_or(String::new(), |protocol| format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\
         {protocol}\r\n",
        accept_of(key.as_bytes())
    )
}
