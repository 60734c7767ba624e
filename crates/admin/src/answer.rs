//! What is answered.

use std::fmt::Write as _;

/// The one page: its script and its style are within, and it loads nothing else.
pub(crate) const PAGE: &str = include_str!("page.html");
/// SHA-256 of what stands in the page's elements `script` and `style`, in Base64; a test tells the new ones after a change.
pub(crate) const SCRIPT: &str = "1LW9walyyixs9SG3UzkaiPJkR2OaaiH/BulleO6pMyw=";
pub(crate) const STYLE: &str = "ge3SWlzTpHfTloulBr+Dla9odZtPYpi5WWdMFb6YfgI=";

const TEXT: &str = "text/plain; charset=utf-8";
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: &'static str,
    kind: &'static str,
    allow: Option<&'static str>,
    pub(crate) body: String,
}

impl Answer {
    fn new(status: &'static str, kind: &'static str, body: String) -> Self {
        Self { status, kind, allow: None, body }
    }

    /// One line.
    fn line(status: &'static str, line: &str) -> Self {
        Self::new(status, TEXT, format!("{line}\n"))
    }

    pub(crate) fn ok(line: &str) -> Self {
        Self::line("200 OK", line)
    }

    pub(crate) fn accepted(line: &str) -> Self {
        Self::line("202 Accepted", line)
    }

    pub(crate) fn page() -> Self {
        Self::new("200 OK", "text/html; charset=utf-8", PAGE.to_owned())
    }

    pub(crate) fn metrics(text: String) -> Self {
        Self::new("200 OK", METRICS, text)
    }

    pub(crate) fn json(text: String) -> Self {
        Self::new("200 OK", "application/json", text)
    }

    pub(crate) fn bad(reason: &str) -> Self {
        Self::line("400 Bad Request", reason)
    }

    pub(crate) fn forbidden(reason: &str) -> Self {
        Self::line("403 Forbidden", reason)
    }

    pub(crate) fn not_found() -> Self {
        Self::line("404 Not Found", "here are /, /metrics, /livez, /readyz, /status and, by POST, /reload")
    }

    /// Another method would be right.
    pub(crate) fn method(allow: &'static str, reason: &str) -> Self {
        Self { allow: Some(allow), ..Self::line("405 Method Not Allowed", reason) }
    }

    pub(crate) fn conflict(reason: &str) -> Self {
        Self::line("409 Conflict", reason)
    }

    pub(crate) fn too_large(reason: &str) -> Self {
        Self::line("431 Request Header Fields Too Large", reason)
    }

    pub(crate) fn failed(reason: &str) -> Self {
        Self::line("500 Internal Server Error", reason)
    }

    pub(crate) fn unavailable(reason: &str) -> Self {
        Self::line("503 Service Unavailable", reason)
    }

    pub(crate) fn version() -> Self {
        Self::line("505 HTTP Version Not Supported", "this speaks HTTP/1.1")
    }

    /// As it is written. A browser may run what the page has within, and ask this endpoint alone; no other page may show it, read
    /// it or take it for a resource of its own.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self { status, kind, body, .. } = self;
        let mut head = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             Content-Security-Policy: default-src 'none'; script-src 'sha256-{SCRIPT}'; style-src 'sha256-{STYLE}'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n",
            body.len()
        );
        if let Some(allow) = self.allow {
            let _ = write!(head, "Allow: {allow}\r\n");
        }
        head.push_str("\r\n");
        head.push_str(body);
        head.into_bytes()
    }
}
