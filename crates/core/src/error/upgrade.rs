//! Layers that cannot be set up.

use super::{BindError, ConnectError};
use crate::{Endpoint, OptionError};

debug_as_text!(UpgradeError);

/// Why a layer cannot serve or connect as its options say.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The options do not fit.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// They fit one by one, and not together, or not this endpoint: what is wrong and what would be right.
    #[error("{0}")]
    Invalid(String),
    /// What they name is missing or cannot be used, as a file that cannot be read: what is in the way and what would be right.
    #[error("{0}")]
    Unusable(String),
}

impl UpgradeError {
    /// As the error of a bind of `endpoint`.
    pub fn of_bind(self, endpoint: &Endpoint) -> BindError {
        let endpoint = endpoint.clone();
        match self {
            Self::Option(source) => BindError::Option { endpoint, source },
            Self::Invalid(reason) => BindError::Invalid { endpoint, reason },
            Self::Unusable(reason) => BindError::Unusable { endpoint, reason },
        }
    }

    /// As the error of a connect to `endpoint`.
    pub fn of_connect(self, endpoint: &Endpoint) -> ConnectError {
        let endpoint = endpoint.clone();
        match self {
            Self::Option(source) => ConnectError::Option { endpoint, source },
            Self::Invalid(reason) => ConnectError::Invalid { endpoint, reason },
            Self::Unusable(reason) => ConnectError::Unusable { endpoint, reason },
        }
    }
}
