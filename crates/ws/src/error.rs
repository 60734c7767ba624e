//! Headers that cannot be sent.

use swapwire_core::Printable;

use crate::handshake::{is_token, is_value};

/// Why a header cannot be sent: which, and what would be right. Values, among which are secrets, are not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("header {}: {reason}", Printable::new(name))]
pub struct WsError {
    name: String,
    reason: &'static str,
}

const OWN: &[&str] = &["host", "origin", "connection", "upgrade", "content-length", "transfer-encoding"];

/// A header that a client may add to its request.
pub(crate) fn checked(name: String, value: String) -> Result<(String, String), WsError> {
    let lower = name.to_ascii_lowercase();
    let reason = match lower.as_str() {
        _ if !is_token(&name) => "a name has letters, digits and -, as Authorization",
        _ if !is_value(&value) => "a value has no line ends or other control characters",
        "origin" | "host" => "write it as an option of the endpoint",
        "sec-websocket-protocol" => "write it as the option protocol of the endpoint",
        own if OWN.contains(&own) || own.starts_with("sec-websocket-") => "it is the handshake's own",
        _ => return Ok((name, value.trim().to_owned())),
    };
    Err(WsError { name, reason })
}
