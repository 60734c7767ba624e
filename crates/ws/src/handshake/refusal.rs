//! Answers to those who do not become WebSockets.

use swapwire_core::Bytes;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The status, with its phrase.
    pub(super) status: &'static str,
    /// Further lines of the head.
    headers: &'static str,
    /// For the client, and for the server's log.
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new("400 Bad Request", reason)
    }

    pub(super) fn new(status: &'static str, reason: impl Into<String>) -> Self {
        Self { status, headers: "Connection: close\r\n", reason: reason.into() }
    }

    /// It is no request for a WebSocket.
    pub(super) fn plain() -> Self {
        let headers = "Connection: close, Upgrade\r\nUpgrade: websocket\r\n";
        Self { headers, ..Self::new("426 Upgrade Required", "here is a WebSocket, and the request is plain HTTP") }
    }

    /// It is one of another version (RFC 6455, 4.4).
    pub(super) fn version() -> Self {
        let headers = "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        Self { headers, ..Self::new("426 Upgrade Required", "this server speaks version 13 of the WebSocket protocol") }
    }

    pub(super) fn method() -> Self {
        let headers = "Connection: close\r\nAllow: GET\r\n";
        Self { headers, ..Self::new("405 Method Not Allowed", "a WebSocket begins with GET") }
    }

    pub(super) fn answer(&self) -> String {
        let Self { status, headers, reason } = self;
        format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Length: {}\r\n\r\n{reason}\n",
            reason.len() + 1
        )
    }
}

/// The answer that shows a page. It may run its own script and talk to its own host, nothing else.
pub(crate) fn page(html: &[u8]) -> Bytes {
    let head = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
         X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCache-Control: no-store\r\n\r\n",
        html.len()
    );
    [head.as_bytes(), html].concat().into()
}
