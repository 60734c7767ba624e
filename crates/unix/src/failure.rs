//! Why something was not bound or connected; the endpoint is added at the transport.

use std::fmt;
use std::io;

use swapwire_core::{BindError, ConnectError, Endpoint, OptionError};

#[derive(Debug)]
pub(crate) enum Failure {
    Option(OptionError),
    /// The endpoint itself is wrong.
    Invalid(String),
    /// What is at the place, or missing there, is in the way.
    Unusable(String),
    /// Another process's file is at the place.
    Taken(String),
    InUse(String),
    Io(io::Error),
}

impl Failure {
    pub(crate) fn into_bind(self, endpoint: &Endpoint) -> BindError {
        match self {
            Self::Option(source) => BindError::option(endpoint, source),
            Self::Invalid(reason) => BindError::invalid(endpoint, reason),
            Self::Unusable(reason) | Self::Taken(reason) => BindError::Unusable { endpoint: endpoint.clone(), reason },
            Self::InUse(reason) => BindError::AddrInUse { endpoint: endpoint.clone(), reason },
            Self::Io(source) => BindError::from_io(endpoint, source),
        }
    }

    pub(crate) fn into_connect(self, endpoint: &Endpoint) -> ConnectError {
        match self {
            Self::Option(source) => ConnectError::option(endpoint, source),
            Self::Invalid(reason) | Self::Unusable(reason) | Self::Taken(reason) | Self::InUse(reason) => {
                ConnectError::invalid(endpoint, reason)
            }
            Self::Io(source) => ConnectError::from_io(endpoint, source),
        }
    }
}

/// The reason alone.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(source) => source.fmt(f),
            Self::Invalid(reason) | Self::Unusable(reason) | Self::Taken(reason) | Self::InUse(reason) => reason.fmt(f),
            Self::Io(source) => source.fmt(f),
        }
    }
}

impl From<OptionError> for Failure {
    fn from(error: OptionError) -> Self {
        Self::Option(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
