//! Endpoints that could not be bound.

use std::io;

use super::{ErrorClass, RegistryError};
use crate::{Endpoint, OptionError};

debug_as_text!(BindError);

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
    /// Another server is bound there.
    #[error("bind {endpoint}: {reason}")]
    AddrInUse {
        /// What was to be bound.
        endpoint: Endpoint,
        /// What is there, as far as it is known.
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
    /// The error for `source`: [`BindError::AddrInUse`] where the system reports it, else [`BindError::Io`]. The reason of
    /// the former is the text that `source` was given, if it was, as which of several addresses it is about.
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

    /// An [`BindError::Invalid`] of a transport that serves no sockets which another program opened, or none of such a kind.
    pub fn not_adopted(endpoint: &Endpoint) -> Self {
        Self::invalid(endpoint, "this transport serves only sockets that it opened itself")
    }

    /// An [`BindError::Option`].
    pub fn option(endpoint: &Endpoint, source: OptionError) -> Self {
        Self::Option { endpoint: endpoint.clone(), source }
    }

    /// What was to be bound.
    pub const fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Registry { endpoint, .. }
            | Self::Option { endpoint, .. }
            | Self::Invalid { endpoint, .. }
            | Self::AddrInUse { endpoint, .. }
            | Self::Unusable { endpoint, .. }
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
            | Self::AddrInUse { endpoint: of, .. }
            | Self::Unusable { endpoint: of, .. }
            | Self::Io { endpoint: of, .. } => of.clone_from(endpoint),
        }
        self
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
    /// another process refuses now.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Registry { .. } | Self::Option { .. } | Self::Invalid { .. } => ErrorClass::Configuration,
            Self::AddrInUse { .. } | Self::Unusable { .. } | Self::Io { .. } => ErrorClass::ListenerFatal,
        }
    }
}
