//! What is said before a broker takes messages: `INFO`, TLS, `CONNECT` and `PING`, `PONG`.

use std::io::{self, ErrorKind};

use bytes::{Buf as _, BytesMut};
use serde::Serialize;
use swapwire_core::{ByteStream, Printable};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::credentials::Proof;
use crate::info::ServerInfo;

/// The longest line that a broker may say meanwhile, in bytes: a large cluster makes `INFO` long.
const LONGEST_LINE: usize = 64 << 10;
/// How much of a broker's words is shown, in bytes.
const SHOWN: usize = 256;

/// A connection on which lines are read.
pub(super) struct Lines {
    io: Box<dyn ByteStream>,
    unread: BytesMut,
}

/// Why a handshake failed, without the broker's name.
#[derive(Debug)]
pub(super) struct Failed(pub(super) ErrorKind, pub(super) String);

/// A line of a broker.
enum Line {
    Info(Box<ServerInfo>),
    Error(String),
    Ping,
    Pong,
    Ok,
}

#[derive(Serialize)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'static str,
    version: &'static str,
    protocol: u8,
    echo: bool,
    headers: bool,
    no_responders: bool,
    #[serde(flatten)]
    proof: Proof,
}

impl Lines {
    pub(super) fn new(io: Box<dyn ByteStream>) -> Self {
        Self { io, unread: BytesMut::new() }
    }

    /// The first line.
    pub(super) async fn info(&mut self) -> Result<ServerInfo, Failed> {
        match self.next().await? {
            Line::Info(info) => Ok(*info),
            Line::Error(words) => Err(refused(&words)),
            _ => Err(Failed(ErrorKind::InvalidData, "this is no NATS broker: it did not begin with INFO".to_owned())),
        }
    }

    /// The stream, for TLS: what was said in the clear behind `INFO` was not said by who has the certificate.
    pub(super) fn into_stream(self) -> Result<Box<dyn ByteStream>, Failed> {
        match self.unread.is_empty() {
            true => Ok(self.io),
            false => Err(Failed(
                ErrorKind::InvalidData,
                "it went on in the clear where TLS was due: somebody may have added to what it said".to_owned(),
            )),
        }
    }

    /// Says who connects, and waits until the broker has taken it. Gives the connection, what was read behind the `PONG`, and the
    /// last `INFO`.
    pub(super) async fn connect(
        mut self,
        mut info: ServerInfo,
        name: &str,
        tls: bool,
        proof: Proof,
    ) -> Result<(Box<dyn ByteStream>, BytesMut, ServerInfo), Failed> {
        let connect = Connect {
            verbose: false,
            pedantic: false,
            tls_required: tls,
            name,
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
            protocol: 1,
            echo: true,
            // What tells a client that nobody answers is a header.
            headers: info.headers,
            no_responders: info.headers,
            proof,
        };
        let connect =
            serde_json::to_string(&connect).map_err(|error| Failed(ErrorKind::InvalidInput, error.to_string()))?;
        self.say(&format!("CONNECT {connect}\r\nPING\r\n")).await?;
        loop {
            match self.next().await? {
                Line::Pong => return Ok((self.io, self.unread, info)),
                Line::Info(later) => info = *later,
                Line::Error(words) => return Err(refused(&words)),
                Line::Ping => self.say("PONG\r\n").await?,
                Line::Ok => {}
            }
        }
    }

    async fn say(&mut self, text: &str) -> Result<(), Failed> {
        // A broker that has closed may have said why.
        match self.io.write_all(text.as_bytes()).await {
            Ok(()) => self.io.flush().await.map_err(broken),
            Err(_) => match self.next().await {
                Ok(Line::Error(words)) => Err(refused(&words)),
                Ok(_) => Err(closed()),
                Err(failed) => Err(failed),
            },
        }
    }

    async fn next(&mut self) -> Result<Line, Failed> {
        let mut looked_at = 0;
        let end = loop {
            if let Some(at) = memchr::memchr(b'\n', &self.unread[looked_at..]) {
                break looked_at + at;
            }
            looked_at = self.unread.len();
            if looked_at > LONGEST_LINE {
                return Err(foreign(&self.unread));
            }
            let room = LONGEST_LINE + 1 - looked_at;
            match (&mut self.io).take(room as u64).read_buf(&mut self.unread).await {
                Ok(0) => return Err(closed()),
                Ok(_) => {}
                Err(error) => return Err(broken(error)),
            }
        };
        let line = self.unread.split_to(end);
        self.unread.advance(1);
        Line::parse(line.trim_ascii_end()).ok_or_else(|| foreign(&line))
    }
}

impl Line {
    /// Words are read in any case (as brokers do).
    fn parse(line: &[u8]) -> Option<Self> {
        let (word, rest) = line.split_at(line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len()));
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("INFO") {
            serde_json::from_slice(rest).ok().map(|info| Self::Info(Box::new(info)))
        } else if is("-ERR") {
            let words = Printable::bytes(rest.trim_ascii()).at_most(SHOWN).to_string();
            Some(Self::Error(words.trim_matches('\'').to_owned()))
        } else {
            let known = [("PING", Self::Ping), ("PONG", Self::Pong), ("+OK", Self::Ok)];
            known.into_iter().find(|(name, _)| is(name)).map(|(_, line)| line)
        }
    }
}

/// What somebody says who is no broker.
fn foreign(line: &[u8]) -> Failed {
    let shown = Printable::bytes(line.trim_ascii_end()).at_most(64);
    Failed(ErrorKind::InvalidData, format!("this is no NATS broker: it said {:?}", shown.to_string()))
}

fn refused(words: &str) -> Failed {
    // The others pass: too many connections, a broker that is shutting down.
    let is_lasting = ["authorization", "authentication", "permissions", "tls required", "secure connection"];
    let lower = words.to_ascii_lowercase();
    let kind = match is_lasting.iter().any(|word| lower.contains(word)) {
        true => ErrorKind::PermissionDenied,
        false => ErrorKind::ConnectionAborted,
    };
    Failed(kind, format!("the broker says: {words}"))
}

fn closed() -> Failed {
    Failed(ErrorKind::UnexpectedEof, "the broker closed the connection before it had taken this client".to_owned())
}

fn broken(error: io::Error) -> Failed {
    Failed(error.kind(), format!("the connection broke before the broker had taken this client: {error}"))
}
