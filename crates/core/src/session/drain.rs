//! Word of a drain.

use std::future::Future;

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Tells sessions that their server drains: clones are the same token, and once it has begun it has begun for good.
///
/// A server has one for the sessions of each worker. Tests of session handlers use one to begin a drain:
///
/// ```
/// # use swapwire_core::{DrainToken, SessionConfig};
/// let drain = DrainToken::new();
/// let mut config = SessionConfig::default();
/// config.draining = Some(drain.clone());
/// // … a session with that configuration, and:
/// drain.begin();
/// assert!(drain.has_begun());
/// ```
#[derive(Clone, Debug, Default)]
pub struct DrainToken(CancellationToken);

impl DrainToken {
    /// No drain has begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the drain; again, it does nothing.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves once it has begun.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + 'static {
        self.wait()
    }

    pub(super) fn wait(&self) -> WaitForCancellationFutureOwned {
        self.0.clone().cancelled_owned()
    }
}
