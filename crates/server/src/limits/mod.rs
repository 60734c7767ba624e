//! Bounds and deadlines.

use bytes::Bytes;
use swapwire_core::{SettingUnit, SettingValue, unescape};

mod amplification;
mod check;
mod connection_permits;
mod handshakes;
mod list;
mod rate_limiter;
mod source_quota;

pub(crate) use amplification::{AmplificationBound, can_flood, earned};
pub(crate) use connection_permits::{ConnectionPermit, ConnectionPermits, Refusal};
pub(crate) use handshakes::{HandshakePermit, Handshakes};
pub use list::Limits;
pub(crate) use rate_limiter::RateLimiter;
pub(crate) use source_quota::{Source, SourcePermit, SourceQuota};

/// What becomes of a connection when the server is full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It waits in the system's queue until a connection closes; when the queue is full too, the system refuses
    /// connections.
    #[default]
    Wait,
    /// It is accepted and closed at once, after these bytes as one message, with the framing of the endpoint; none if they
    /// are empty. Where the framing is lines, a line end behind them is taken off first; what a framing cannot carry is an
    /// error when the server is bound. The message may be lost: the server waits at most 10 ms for it to be sent, and a
    /// peer that has already said something may find its connection reset.
    Refuse(Bytes),
}

impl WhenFull {
    /// Refuses with this message: [`WhenFull::Refuse`].
    pub fn refuse(message: impl Into<Bytes>) -> Self {
        Self::Refuse(message.into())
    }
}

/// `wait`, `refuse`, or `refuse:TEXT` with the escapes of [`unescape`].
impl SettingValue for WhenFull {
    fn read(text: &str, _: SettingUnit) -> Result<Self, String> {
        let message = match text.split_once(':') {
            None if text == "wait" => return Ok(Self::Wait),
            None if text == "refuse" => Some(Vec::new()),
            Some(("refuse", message)) => unescape(message),
            _ => None,
        };
        message.map(Self::refuse).ok_or_else(|| "write wait, refuse or refuse:TEXT".to_owned())
    }

    fn write(&self, _: SettingUnit) -> Option<String> {
        Some(match self {
            Self::Wait => "wait".to_owned(),
            Self::Refuse(message) if message.is_empty() => "refuse".to_owned(),
            Self::Refuse(message) => format!("refuse:{}", message.escape_ascii()),
        })
    }
}
