//! Handlers that gave up.

use std::fmt;

/// Any error, as [`HandlerError`] carries it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a handler gave up: any error. It ends the session (on a datagram socket: drops the replies to this datagram) and is
/// counted and logged by the server.
pub struct HandlerError(BoxError);

impl HandlerError {
    /// The error inside.
    pub fn into_inner(self) -> BoxError {
        self.0
    }

    /// The error inside, if it is an `E`.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

impl<E: Into<BoxError>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
