//! The handshake.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swapwire_core::Printable;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::TlsInfo;
use crate::engine::Session;
use crate::stream::TlsStream;

/// How long, and for how many bytes, a peer whose handshake failed is waited for: closing with unread input would make the
/// system throw away the alert that tells it why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 << 10;
/// What is shown of a peer that does not speak TLS, in bytes.
const SHOWN: usize = 24;
/// The types of records (RFC 8446, 5.1), from `change_cipher_spec` to `heartbeat`.
const RECORDS: std::ops::RangeInclusive<u8> = 20..=24;

#[derive(Default)]
struct Handshake {
    /// The peer's first bytes.
    first: Vec<u8>,
    asked_for: Option<Box<str>>,
}

/// Runs the handshake of `stream`, and says what it has shown.
pub(crate) async fn run(mut stream: TlsStream) -> io::Result<(TlsStream, TlsInfo)> {
    let mut handshake = Handshake::default();
    match poll_fn(|cx| handshake.poll(cx, &mut stream)).await {
        Ok(()) => {
            let info = TlsInfo { server_name: handshake.asked_for, ..stream.session().info() };
            Ok((stream, info))
        }
        Err(error) => {
            if error.kind() == io::ErrorKind::InvalidData {
                let _ = tokio::time::timeout(LINGER, part(stream)).await;
            }
            Err(error)
        }
    }
}

/// Sends the alert, and waits until the peer has it.
async fn part(mut stream: TlsStream) -> io::Result<()> {
    poll_fn(|cx| stream.poll_send(cx)).await?;
    let mut io = stream.into_io();
    io.shutdown().await?;
    tokio::io::copy(&mut io.take(LINGER_BYTES), &mut tokio::io::sink()).await.map(drop)
}

impl Handshake {
    fn poll(&mut self, cx: &mut Context<'_>, stream: &mut TlsStream) -> Poll<io::Result<()>> {
        while stream.session().is_handshaking() {
            let first = &mut self.first;
            let mut seen = |bytes: &[u8]| first.extend(bytes.iter().take(SHOWN - first.len()));
            let polled = ready!(stream.poll_handshake(cx, &mut seen));
            if let Some(name) = Session::take_asked_for() {
                self.asked_for = Some(name);
            }
            let is_server = stream.session().is_server();
            match polled {
                Ok(0) => return Poll::Ready(Err(self.ended(is_server))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.explain(error, is_server))),
            }
        }
        stream.poll_send(cx)
    }

    fn ended(&self, is_server: bool) -> io::Error {
        match (is_server, self.first.is_empty()) {
            // A check of somebody who asks whether the port is open.
            (true, true) => io::Error::new(io::ErrorKind::ConnectionAborted, "it closed without a word"),
            (true, false) => io::Error::new(io::ErrorKind::UnexpectedEof, "it closed within its handshake"),
            (false, _) => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed within the handshake: does it speak TLS?",
            ),
        }
    }

    fn explain(&self, error: io::Error, is_server: bool) -> io::Error {
        let strange = self.first.first().is_some_and(|first| !RECORDS.contains(first));
        if !strange || error.kind() != io::ErrorKind::InvalidData {
            return error;
        }
        let first = String::from_utf8_lossy(&self.first);
        let first = Printable::new(&first);
        let text = match is_server {
            true => format!("the client does not speak TLS, it began with {first}: it wants a wire without tls"),
            false => format!("the server does not speak TLS, it began with {first}: it wants a wire without tls"),
        };
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}
