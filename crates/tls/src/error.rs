//! Certificates and keys that cannot be used.

use std::fmt;

use swapwire_core::UpgradeError;

/// Why a certificate, a key or a configuration cannot be used, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError(String);

impl TlsError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The same about a file that an option names.
    pub(crate) fn of(&self, option: &str, path: &std::path::Path) -> Self {
        Self(format!("{option}={}: {self}", path.display()))
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

impl From<TlsError> for UpgradeError {
    fn from(error: TlsError) -> Self {
        Self::Unusable(error.0)
    }
}
