//! Handlers of whole sessions.

use std::sync::Arc;

use async_trait::async_trait;

use super::HandlerProperties;
use crate::{HandlerError, Session};

/// Runs a whole session: receives and sends whenever it likes. Its state is its local variables.
///
/// Works on every wire: on a datagram socket the server makes one session per peer, bounded in number, queue and idle
/// time.
///
/// # Contract
/// 1. The server calls `run` once for each session, beside the others: one that computes without waiting holds up those
///    that share its thread. (On a runtime of one thread they share a task as well; spawn one where that matters.)
/// 2. When `run` returns, the server flushes what was sent and closes the session gracefully.
/// 3. When the server drains, [`Session::draining`] resolves; a session that is still running at the drain deadline is
///    dropped.
/// 4. An error or a panic ends this session only.
///
/// # Implementing
/// ```
/// use swapwire_core::{HandlerError, Session, SessionHandler, async_trait};
///
/// struct Count;
///
/// #[async_trait]
/// impl SessionHandler for Count {
///     async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
///         let mut count = 0_u64;
///         while let Some(_message) = session.recv().await? {
///             count += 1;
///             session.send(count.to_string()).await?;
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// A wrong one: it never looks at [`Session::draining`], so every drain has to wait for its deadline and cut it.
///
/// ```no_run
/// # use swapwire_core::{HandlerError, Session, SessionHandler, async_trait};
/// # struct Wrong;
/// # #[async_trait]
/// # impl SessionHandler for Wrong {
/// async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
///     loop {
///         session.send("tick").await?; // wrong: no end
///     }
/// }
/// # }
/// ```
#[async_trait]
pub trait SessionHandler: Send + Sync + 'static {
    /// Runs `session` to its end.
    async fn run(&self, session: Session) -> Result<(), HandlerError>;

    /// What it declares of itself; the default is [`HandlerProperties::new`]. Layers pass it on ([`HandlerLayer`] does).
    ///
    /// [`HandlerLayer`]: crate::HandlerLayer
    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new()
    }
}

#[async_trait]
impl<H: SessionHandler + ?Sized> SessionHandler for Arc<H> {
    async fn run(&self, session: Session) -> Result<(), HandlerError> {
        (**self).run(session).await
    }

    fn properties(&self) -> HandlerProperties {
        (**self).properties()
    }
}
