//! Why a law stops before its end.

use std::any::Any;
use std::fmt;

/// Why a law stops before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stop {
    /// It does not apply to this transport.
    #[error("{0}")]
    Skipped(String),
    /// It is broken: what was expected and what happened.
    #[error("{0}")]
    Broken(String),
}

/// What a law returns: `Ok` if it is kept.
pub type Outcome = Result<(), Stop>;

impl Stop {
    /// The law does not apply: `reason`, for people.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped(reason.into())
    }

    /// The law is broken: `why`, for people.
    pub fn broken(why: impl Into<String>) -> Self {
        Self::Broken(why.into())
    }
}

/// Turns an error into a broken law.
pub(crate) trait OrBroken<T> {
    /// `what` was tried.
    fn or_broken(self, what: impl fmt::Display) -> Result<T, Stop>;
}

impl<T, E: fmt::Display> OrBroken<T> for Result<T, E> {
    fn or_broken(self, what: impl fmt::Display) -> Result<T, Stop> {
        self.map_err(|error| Stop::Broken(format!("{what}: {error}")))
    }
}

/// Stops with a broken law unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err($crate::Stop::Broken(format!($($text)*)));
        }
    };
}
pub(crate) use ensure;

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
