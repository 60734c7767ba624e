//! Brokers that could not be reached.

use std::fmt;
use std::io;

use swapwire_core::{BindError, ConnectError, Endpoint, UpgradeError};

/// Why there is no connection, in one line which names the broker.
#[derive(Debug)]
pub(crate) enum DialError {
    /// No broker can change it: the options do not fit, or a file that they name cannot be used.
    Options(UpgradeError),
    /// A broker is not there, or does not take this client.
    Broker { kind: io::ErrorKind, text: String },
}

impl DialError {
    pub(crate) fn new(kind: io::ErrorKind, server: &Endpoint, text: impl fmt::Display) -> Self {
        Self::Broker { kind, text: format!("{}: {text}", place(server)) }
    }

    /// Whether it may pass by itself: there is no broker, or none that answers, or one that shuts down. What a broker refuses, and
    /// what is none, stays so until somebody changes something.
    pub(crate) fn may_pass(&self) -> bool {
        let lasting = [io::ErrorKind::PermissionDenied, io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput];
        matches!(self, Self::Broker { kind, .. } if !lasting.contains(kind))
    }

    /// As the error of a bind of `endpoint`.
    pub(crate) fn of_bind(self, endpoint: &Endpoint) -> BindError {
        match self {
            Self::Options(error) => error.of_bind(endpoint),
            error @ Self::Broker { .. } if error.may_pass() => {
                let text = format!("{error}; start it, or serve as soon as it is there with wait=true");
                BindError::Io { endpoint: endpoint.clone(), source: io::Error::new(error.kind(), text) }
            }
            error => BindError::Unusable { endpoint: endpoint.clone(), reason: error.to_string() },
        }
    }

    /// As the error of a connect to `endpoint`.
    pub(crate) fn of_connect(self, endpoint: &Endpoint) -> ConnectError {
        match self {
            Self::Options(error) => error.of_connect(endpoint),
            error => {
                ConnectError::Io { endpoint: endpoint.clone(), source: io::Error::new(error.kind(), error.to_string()) }
            }
        }
    }

    /// Of several brokers one after the other: which none of them is.
    pub(super) fn of_all(mut errors: Vec<Self>) -> Self {
        /// So many of them are told.
        const TOLD: usize = 3;
        match errors.len() {
            0 => Self::Options(UpgradeError::Invalid("there is no broker to dial".to_owned())),
            1 => errors.remove(0),
            count => {
                // What lasts is what has to be mended.
                errors.sort_by_key(Self::may_pass);
                let kind = errors[0].kind();
                let told: Vec<_> = errors.iter().take(TOLD).map(Self::to_string).collect();
                let more = if count > TOLD { format!("; and {} more", count - TOLD) } else { String::new() };
                Self::Broker { kind, text: format!("none of {count} brokers: {}{more}", told.join("; ")) }
            }
        }
    }

    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Options(_) => io::ErrorKind::InvalidInput,
            Self::Broker { kind, .. } => *kind,
        }
    }
}

/// How messages name a broker: by its place alone.
pub(super) fn place(server: &Endpoint) -> String {
    server.place().to_string().trim_start_matches("//").to_owned()
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => error.fmt(f),
            Self::Broker { text, .. } => f.write_str(text),
        }
    }
}

impl std::error::Error for DialError {}

impl From<UpgradeError> for DialError {
    fn from(error: UpgradeError) -> Self {
        Self::Options(error)
    }
}
