//! Messages that could not be received or sent.

use std::io;

use super::{ErrorClass, classify_stream};
use crate::FrameError;

debug_as_text!(RecvError, SendError, TrySendError);

/// Why nothing could be received.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The bytes do not make a message. The session is over.
    #[error("receive: {0}")]
    Frame(#[from] FrameError),
    /// A message was longer than allowed and was dropped. The session goes on.
    #[error("receive: a message of {len} bytes is longer than the limit of {max}; it was dropped")]
    TooLarge {
        /// Its length, as far as it is known.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The network said something about a datagram sent earlier (for example that no server listens there). The session
    /// goes on.
    #[error("receive: {0}")]
    PeerNoise(#[source] io::Error),
    /// The connection is over.
    #[error("receive: {0}")]
    Io(#[from] io::Error),
}

impl RecvError {
    /// Whether the session can still be used.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Frame(_) => ErrorClass::ConnectionFatal,
            Self::TooLarge { .. } | Self::PeerNoise(_) => ErrorClass::PeerNoise,
            Self::Io(source) => classify_stream(source),
        }
    }
}

/// Why a message was not sent.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is closed, or its writing half is.
    #[error("send: the session is closed")]
    Closed,
    /// The message is longer than the wire, the framing or the limit allows. The session goes on.
    #[error("send: a message of {len} bytes is longer than the limit of {max}")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The framing cannot carry this message. The session goes on.
    #[error("send: {0}")]
    Frame(#[from] FrameError),
    /// The peer's queue stayed full and the message was dropped (Unix datagrams). The session goes on.
    #[error("send: the peer's queue is full; the message was dropped")]
    Congested,
    /// The peer's address may be forged, and it has not yet said enough to be sent so much: three times what it sent, or
    /// 64 bytes for each of its messages. The message was dropped; the session goes on. See
    /// [`Session::trust_peer`](crate::Session::trust_peer).
    #[error("send: {len} bytes to a peer that may be forged; {left} are left until it sends more")]
    Unvalidated {
        /// The message's length.
        len: usize,
        /// What it may be sent now, in bytes.
        left: usize,
    },
    /// The network refused one datagram. The session goes on.
    #[error("send: {0}")]
    PeerNoise(#[source] io::Error),
    /// The connection is over.
    #[error("send: {0}")]
    Io(#[from] io::Error),
}

impl SendError {
    /// Whether the session can still be used.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Closed => ErrorClass::ConnectionFatal,
            Self::TooLarge { .. } | Self::Frame(_) | Self::Unvalidated { .. } | Self::PeerNoise(_) => {
                ErrorClass::PeerNoise
            }
            Self::Congested => ErrorClass::Retryable,
            Self::Io(source) => classify_stream(source),
        }
    }
}

/// Why a message was not taken at once.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// The queue is full: the message was not taken.
    #[error("send: the session's queue is full")]
    Full,
    /// The message cannot be sent at all.
    #[error(transparent)]
    Failed(#[from] SendError),
}
