//! Endpoints that could not be connected.

use std::io;

use super::{ErrorClass, RegistryError};
use crate::{Endpoint, OptionError, Place};

debug_as_text!(ConnectError);

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
    /// What is needed to connect is missing or does not fit: a file that cannot be read, a key of another certificate.
    #[error("connect {endpoint}: {reason}")]
    Unusable {
        /// What was dialled.
        endpoint: Endpoint,
        /// What is in the way and what would be right.
        reason: String,
    },
    /// No server listens there.
    #[error("connect {endpoint}: connection refused: no server is listening there")]
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
    /// The wire below was connected, and the handshake of a layer over it failed.
    #[error("connect {endpoint}: {layer}: {source}")]
    Handshake {
        /// What was dialled.
        endpoint: Endpoint,
        /// The layer's name in a scheme.
        layer: &'static str,
        /// Why it failed: [`InvalidData`](io::ErrorKind::InvalidData) where the peer said something that the layer does not
        /// accept, [`TimedOut`](io::ErrorKind::TimedOut) where it said too little.
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
    pub const fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Registry { endpoint, .. }
            | Self::Option { endpoint, .. }
            | Self::Invalid { endpoint, .. }
            | Self::Unusable { endpoint, .. }
            | Self::Refused { endpoint, .. }
            | Self::Missing { endpoint, .. }
            | Self::Busy { endpoint, .. }
            | Self::Handshake { endpoint, .. }
            | Self::Io { endpoint, .. } => endpoint,
        }
    }

    /// The same error about `endpoint`: a stack says what it was asked for, not what it made of that for the wire below.
    #[must_use]
    pub fn at(mut self, endpoint: &Endpoint) -> Self {
        // Without a wildcard: a variant that is added later must be named here.
        match &mut self {
            Self::Registry { endpoint: of, .. }
            | Self::Option { endpoint: of, .. }
            | Self::Invalid { endpoint: of, .. }
            | Self::Unusable { endpoint: of, .. }
            | Self::Refused { endpoint: of, .. }
            | Self::Missing { endpoint: of, .. }
            | Self::Busy { endpoint: of, .. }
            | Self::Handshake { endpoint: of, .. }
            | Self::Io { endpoint: of, .. } => of.clone_from(endpoint),
        }
        self
    }

    /// The number that the system gave the error (what `connect_ex` returns in Python), if it was the system's.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. }
            | Self::Missing { source, .. }
            | Self::Busy { source, .. }
            | Self::Handshake { source, .. }
            | Self::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// [`ErrorClass::Configuration`] for what no retry mends, as a peer that is not trusted or speaks another protocol,
    /// [`ErrorClass::Retryable`] for a full queue, else [`ErrorClass::ConnectionFatal`].
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Registry { .. } | Self::Option { .. } | Self::Invalid { .. } | Self::Unusable { .. } => {
                ErrorClass::Configuration
            }
            Self::Handshake { source, .. } if source.kind() == io::ErrorKind::InvalidData => ErrorClass::Configuration,
            Self::Busy { .. } => ErrorClass::Retryable,
            Self::Refused { .. } | Self::Missing { .. } | Self::Handshake { .. } | Self::Io { .. } => {
                ErrorClass::ConnectionFatal
            }
        }
    }
}
