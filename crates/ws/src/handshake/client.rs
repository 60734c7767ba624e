//! The half at a client.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httparse::{EMPTY_HEADER, Header, Response, Status};
use swapwire_core::{ByteStream, Bytes, ConnInfo, Framing, Link, Printable, UpgradeClient, async_trait};
use swapwire_stack::Prefixed;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::head::{Head, HeadError, LONGEST, MOST_HEADERS};
use super::{accept_of, all, has_word, once, words};
use crate::codec::Random;
use crate::info::WsInfo;

/// How much of the text of a refusal is read, in bytes.
const MOST_TEXT: usize = 512;
/// Of its first line, what is shown.
const SHOWN: usize = 200;

pub(crate) struct Client {
    /// The request, but for its key and its empty line.
    pub(crate) request: String,
    pub(crate) target: String,
    pub(crate) origin: Option<String>,
    pub(crate) protocols: Vec<String>,
    pub(crate) framing: Framing,
}

#[async_trait]
impl UpgradeClient for Client {
    async fn connect(&self, mut io: Box<dyn ByteStream>, mut info: ConnInfo) -> io::Result<Link> {
        let key = key();
        let request = format!("{}Sec-WebSocket-Key: {key}\r\n\r\n", self.request);
        io.write_all(request.as_bytes()).await?;
        io.flush().await?;
        let head = Head::read(&mut io, |line| line.starts_with(b"HTTP/1.")).await.map_err(unanswered)?;
        match self.judge(&head, &key)? {
            Answered::Socket(protocol) => {
                let learnt = WsInfo::new(&self.target, self.origin.as_deref(), protocol, []);
                info.peer = info.peer.and(learnt);
                let rest = head.rest();
                let io: Box<dyn ByteStream> = if rest.is_empty() { io } else { Box::new(Prefixed::new(rest, io)) };
                Ok(Link::framed(io, self.framing.clone(), info))
            }
            Answered::Refused(status, text) => {
                let line = first_line(&mut io, head.rest(), text).await;
                let because = if line.is_empty() { line } else { format!(": {line}") };
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("the server answers {status}{because}")))
            }
        }
    }
}

enum Answered<'a> {
    /// Yes, with this subprotocol.
    Socket(Option<&'a str>),
    /// No: the status, and how long its text is.
    Refused(String, usize),
}

impl Client {
    /// Looks at an answer (RFC 6455, 4.1).
    fn judge(&self, head: &Head, key: &str) -> io::Result<Answered<'_>> {
        let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut response = Response::new(&mut headers);
        match response.parse(head.bytes()) {
            Ok(Status::Complete(len)) if len == head.bytes().len() => {}
            _ => return Err(wrong(format!("the server's answer is not HTTP/1.1, it began with {}", head.shown()))),
        }
        let (headers, code) = (&*response.headers, response.code.unwrap_or_default());
        if code != 101 {
            let reason = Printable::new(response.reason.unwrap_or_default()).at_most(SHOWN);
            return Ok(Answered::Refused(format!("{code} {reason}").trim_end().to_owned(), text_len(headers)));
        }
        let no_socket = |what: &str| wrong(format!("the server's answer opens no WebSocket: {what}"));
        if response.version != Some(1) {
            return Err(no_socket("it is not HTTP/1.1"));
        }
        if !has_word(headers, "Upgrade", "websocket") {
            return Err(no_socket("it has no Upgrade: websocket"));
        }
        if !has_word(headers, "Connection", "upgrade") {
            return Err(no_socket("it has no Connection: Upgrade"));
        }
        match once(headers, "Sec-WebSocket-Accept") {
            Ok(Some(accept)) if accept == accept_of(key.as_bytes()) => {}
            Ok(None) => return Err(no_socket("it has no Sec-WebSocket-Accept")),
            _ => return Err(no_socket("its Sec-WebSocket-Accept is not for the key that was sent")),
        }
        if let Some(extension) = words(headers, "Sec-WebSocket-Extensions").next() {
            let extension = Printable::new(extension).at_most(SHOWN);
            return Err(no_socket(&format!("it has the extension {extension}, which was not asked for")));
        }
        let mut agreed = all(headers, "Sec-WebSocket-Protocol").map(String::from_utf8_lossy);
        let Some(protocol) = agreed.next() else { return Ok(Answered::Socket(None)) };
        match self.protocols.iter().find(|own| **own == protocol) {
            Some(own) if agreed.next().is_none() => Ok(Answered::Socket(Some(own))),
            _ => {
                let protocol = Printable::new(protocol).at_most(SHOWN);
                Err(no_socket(&format!("it has the subprotocol {protocol}, which was not asked for")))
            }
        }
    }
}

/// 16 bytes, in Base64.
fn key() -> String {
    let mut random = Random::new();
    STANDARD.encode([random.draw().to_ne_bytes(), random.draw().to_ne_bytes()].concat())
}

/// How much of the text is shown that an answer has: none if it is no text, or its end is not known beforehand.
fn text_len(headers: &[Header<'_>]) -> usize {
    let is_text = all(headers, "Content-Type").any(|kind| kind.starts_with(b"text/plain"));
    let is_plain = all(headers, "Transfer-Encoding").next().is_none();
    let length = once(headers, "Content-Length").ok().flatten().and_then(|length| length.parse().ok());
    if is_text && is_plain { length.unwrap_or(0).min(MOST_TEXT) } else { 0 }
}

/// The first line of a text that is `len` bytes long, of which `read` was read.
async fn first_line(io: &mut Box<dyn ByteStream>, read: Bytes, len: usize) -> String {
    let mut text = read.to_vec();
    if let Some(missing) = len.checked_sub(text.len()) {
        // What an error leaves is shown.
        let _ = io.take(missing as u64).read_to_end(&mut text).await;
    }
    text.truncate(len);
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Printable::bytes(line.trim_ascii()).at_most(SHOWN).to_string()
}

fn unanswered(error: HeadError) -> io::Error {
    let (kind, text) = match error {
        HeadError::WithoutAWord | HeadError::Ended => (
            io::ErrorKind::UnexpectedEof,
            "the server closed within the handshake: does it speak WebSocket?".to_owned(),
        ),
        HeadError::TooLong => (
            io::ErrorKind::InvalidData,
            format!("the server's answer has more than {LONGEST} bytes before its empty line"),
        ),
        HeadError::Strange(first) => {
            (io::ErrorKind::InvalidData, format!("the server does not speak HTTP, it began with {first}"))
        }
        HeadError::Io(error) => return error,
    };
    io::Error::new(kind, text)
}
