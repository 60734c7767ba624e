//! Errors, one enum per operation. Text: operation, endpoint, cause; one line, lower case.

use std::io;

use crate::class::classify_stream;
use crate::suggestion::hint;
use crate::{Endpoint, ErrorClass, FrameError, OptionError, Place};

/// Any error, as [`HandlerError`](crate::HandlerError) carries it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

debug_as_text!(RegistryError, BindError, ConnectError, RecvError, SendError, TrySendError);

/// Why a registry has no transport for an endpoint.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No transport of this scheme is registered.
    #[error("unknown scheme {scheme:?}{}", hint(scheme, known))]
    UnknownScheme {
        /// The endpoint's scheme.
        scheme: String,
        /// The registered schemes, with commas, or `none`.
        known: String,
    },
}

/// Why an endpoint could not be bound.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No transport is registered for the scheme.
    #[error("bind {endpoint}: {source}")]
    Registry {
        /// What was to be bound.
        endpoint: Endpoint,
        /// Why not.
        source: RegistryError,
    },
    /// The options do not fit.
    #[error("bind {endpoint}: {source}")]
    Option {
        /// What was to be bound.
        endpoint: Endpoint,
        /// Why not.
        source: OptionError,
    },
    /// The place does not fit the scheme, or something else of the composition is wrong.
    #[error("bind {endpoint}: {reason}")]
    Invalid {
        /// What was to be bound.
        endpoint: Endpoint,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Somebody else is there.
    #[error("bind {endpoint}: {reason}")]
    AddrInUse {
        /// What was to be bound.
        endpoint: Endpoint,
        /// Who or what is there, as far as it is known.
        reason: String,
    },
    /// What is there, or is missing there, forbids it: a file that is no socket, a directory that does not exist.
    #[error("bind {endpoint}: {reason}")]
    Unusable {
        /// What was to be bound.
        endpoint: Endpoint,
        /// What is in the way and what would be right.
        reason: String,
    },
    /// The system refused.
    #[error("bind {endpoint}: {source}")]
    Io {
        /// What was to be bound.
        endpoint: Endpoint,
        /// The system's error.
        source: io::Error,
    },
}

impl BindError {
    /// The error for `source`: [`BindError::AddrInUse`] where the system says so, else [`BindError::Io`]. The reason of the
    /// former is the text that `source` was given, if it was, as which of several addresses it is about.
    pub fn from_io(endpoint: &Endpoint, source: io::Error) -> Self {
        let endpoint = endpoint.clone();
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                let given = source.get_ref().map(ToString::to_string);
                let reason = given.unwrap_or_else(|| "another server is listening there".to_owned());
                Self::AddrInUse { endpoint, reason: format!("address in use: {reason}") }
            }
            _ => Self::Io { endpoint, source },
        }
    }

    /// An [`BindError::Invalid`] with a reason.
    pub fn invalid(endpoint: &Endpoint, reason: impl Into<String>) -> Self {
        Self::Invalid { endpoint: endpoint.clone(), reason: reason.into() }
    }

    /// An [`BindError::Option`].
    pub fn option(endpoint: &Endpoint, source: OptionError) -> Self {
        Self::Option { endpoint: endpoint.clone(), source }
    }

    /// What was to be bound.
    pub fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Registry { endpoint, .. }
            | Self::Option { endpoint, .. }
            | Self::Invalid { endpoint, .. }
            | Self::AddrInUse { endpoint, .. }
            | Self::Unusable { endpoint, .. }
            | Self::Io { endpoint, .. } => endpoint,
        }
    }

    /// Whether the place is taken.
    pub fn is_addr_in_use(&self) -> bool {
        matches!(self, Self::AddrInUse { .. })
    }

    /// The number that the system gave the error, if it was the system's.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// [`ErrorClass::Configuration`] for what is wrong in itself, [`ErrorClass::ListenerFatal`] for what the system or
    /// somebody else refuses now.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Registry { .. } | Self::Option { .. } | Self::Invalid { .. } => ErrorClass::Configuration,
            Self::AddrInUse { .. } | Self::Unusable { .. } | Self::Io { .. } => ErrorClass::ListenerFatal,
        }
    }
}

/// Why an endpoint could not be connected.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No transport is registered for the scheme.
    #[error("connect {endpoint}: {source}")]
    Registry {
        /// What was dialled.
        endpoint: Endpoint,
        /// Why not.
        source: RegistryError,
    },
    /// The options do not fit.
    #[error("connect {endpoint}: {source}")]
    Option {
        /// What was dialled.
        endpoint: Endpoint,
        /// Why not.
        source: OptionError,
    },
    /// The place does not fit the scheme, or something else of the composition is wrong.
    #[error("connect {endpoint}: {reason}")]
    Invalid {
        /// What was dialled.
        endpoint: Endpoint,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Nobody listens there.
    #[error("connect {endpoint}: connection refused: nobody is listening there")]
    Refused {
        /// What was dialled.
        endpoint: Endpoint,
        /// The system's error.
        source: io::Error,
    },
    /// There is no socket at the path.
    #[error("connect {endpoint}: no such file: no server has made a socket there")]
    Missing {
        /// What was dialled.
        endpoint: Endpoint,
        /// The system's error.
        source: io::Error,
    },
    /// The listener's queue is full: the same call may work later.
    #[error("connect {endpoint}: the server's queue of waiting connections is full")]
    Busy {
        /// What was dialled.
        endpoint: Endpoint,
        /// The system's error.
        source: io::Error,
    },
    /// The system refused.
    #[error("connect {endpoint}: {source}")]
    Io {
        /// What was dialled.
        endpoint: Endpoint,
        /// The system's error.
        source: io::Error,
    },
}

impl ConnectError {
    /// The error for `source`: refused, missing, busy, or the system's own.
    pub fn from_io(endpoint: &Endpoint, source: io::Error) -> Self {
        let endpoint = endpoint.clone();
        match source.kind() {
            io::ErrorKind::NotFound if matches!(endpoint.place(), Place::Path(_)) => Self::Missing { endpoint, source },
            io::ErrorKind::ConnectionRefused => Self::Refused { endpoint, source },
            io::ErrorKind::WouldBlock => Self::Busy { endpoint, source },
            _ => Self::Io { endpoint, source },
        }
    }

    /// A [`ConnectError::Invalid`] with a reason.
    pub fn invalid(endpoint: &Endpoint, reason: impl Into<String>) -> Self {
        Self::Invalid { endpoint: endpoint.clone(), reason: reason.into() }
    }

    /// A [`ConnectError::Option`].
    pub fn option(endpoint: &Endpoint, source: OptionError) -> Self {
        Self::Option { endpoint: endpoint.clone(), source }
    }

    /// What was dialled.
    pub fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Registry { endpoint, .. }
            | Self::Option { endpoint, .. }
            | Self::Invalid { endpoint, .. }
            | Self::Refused { endpoint, .. }
            | Self::Missing { endpoint, .. }
            | Self::Busy { endpoint, .. }
            | Self::Io { endpoint, .. } => endpoint,
        }
    }

    /// The number that the system gave the error (what `connect_ex` returns in Python), if it was the system's.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. }
            | Self::Missing { source, .. }
            | Self::Busy { source, .. }
            | Self::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// [`ErrorClass::Configuration`] for what no retry mends, [`ErrorClass::Retryable`] for a full queue, else
    /// [`ErrorClass::ConnectionFatal`].
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Registry { .. } | Self::Option { .. } | Self::Invalid { .. } => ErrorClass::Configuration,
            Self::Busy { .. } => ErrorClass::Retryable,
            Self::Refused { .. } | Self::Missing { .. } | Self::Io { .. } => ErrorClass::ConnectionFatal,
        }
    }
}

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
    /// The network said something about a datagram sent earlier (for example that nobody listens there). The session
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
    #[error("send: {len} bytes to a peer that may be forged; it has {left} left until it says more")]
    Unproven {
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
            Self::TooLarge { .. } | Self::Frame(_) | Self::Unproven { .. } | Self::PeerNoise(_) => {
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
