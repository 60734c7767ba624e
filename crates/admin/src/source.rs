//! What the endpoint shows.

use swapwire_core::async_trait;

use crate::Status;

/// What an admin endpoint shows, and does.
///
/// # Contract
/// Every method is called on the endpoint's thread, and must not wait for a worker of the server: while one waits, nobody is
/// answered. Loading counters is fine.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// All metrics as Prometheus text 0.0.4.
    fn metrics(&self) -> String;

    /// What `/status` and the page show. What [`Status::not_ready`] says, `/readyz` answers.
    fn status(&self) -> Status;

    /// Reads the configuration again, all or nothing, and says what came of it in one line. Not called again before it has ended. It
    /// goes on when whoever asked has left; a result after 4 s is told by [`Status::reload`] alone.
    ///
    /// The default is that there is nothing to reload.
    ///
    /// # Errors
    /// Nothing was changed, and why.
    ///
    /// # Cancel safety
    /// It is dropped half-way if the endpoint stops: then, too, all or nothing.
    async fn reload(&self) -> Result<String, ReloadError> {
        Err(ReloadError::Nothing)
    }
}

/// Why a reload changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The server was started without a file.
    #[error("there is nothing to reload: the server was started without a file")]
    Nothing,
    /// What was read is wrong, or could not be bound; in one line.
    #[error("{0}")]
    Failed(String),
}
