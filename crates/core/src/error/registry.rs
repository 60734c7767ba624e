//! No transport for an endpoint.

use crate::name::suggestion::hint;

debug_as_text!(RegistryError);

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
    /// The sockets that the endpoint names, which another program opened, are not there or cannot be served.
    #[error("{reason}")]
    Socket {
        /// The scheme, without layers.
        scheme: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The scheme names layers that cannot stand on one another, or on this wire.
    #[error("scheme {scheme:?}: {reason}")]
    Stack {
        /// The endpoint's scheme.
        scheme: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}
