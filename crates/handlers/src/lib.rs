//! Handlers that every swapwire server can use: [`UppercaseEcho`] and the classic small services.
//!
//! | name | type | on a stream | on a datagram socket |
//! | --- | --- | --- | --- |
//! | `uppercase-echo` | [`UppercaseEcho`] | what arrives, in upper case | the same, message by message |
//! | `echo` | [`Echo`] | what arrives (RFC 862) | the same, message by message |
//! | `discard` | [`Discard`] | nothing (RFC 863) | nothing |
//! | `chargen` | [`Chargen`] | characters without end (RFC 864) | 0 to 512 characters for each message |
//! | `daytime` | [`Daytime`] | the time as a line, then the end (RFC 867) | the line for each message |
//! | `time` | [`Time`] | the time as 4 bytes, then the end (RFC 868) | the 4 bytes for each message |
//! | `chat` | [`Chat`] | each message goes to all others | the same |
//!
//! The first three answer messages and are [`Handler`](swapwire_core::Handler)s for every wire. `chargen`, `daytime`
//! and `time` send first on a stream and answer on a datagram socket, so each is a
//! [`SessionHandler`](swapwire_core::SessionHandler) for the one and a `Handler` for the other; a server joins the
//! two.
//!
//! Each has a `NAME`, under which an operator selects it, and a one-line `DESCRIPTION`.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod chargen;
mod chat;
mod clock;
mod daytime;
mod discard;
mod echo;
mod time;
mod uppercase_echo;

#[cfg(test)]
mod testing;

pub use chargen::Chargen;
pub use chat::Chat;
pub use daytime::Daytime;
pub use discard::Discard;
pub use echo::Echo;
pub use time::Time;
pub use uppercase_echo::UppercaseEcho;
