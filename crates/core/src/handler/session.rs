//! Handlers of whole sessions.

use std::sync::Arc;

use async_trait::async_trait;

use super::HandlerProperties;
use crate::server::Replies;
use crate::session::Inner;
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `SessionHandler`",
    label = "cannot run a whole session",
    note = "implement `SessionHandler` for it, under `#[async_trait]`; `Stateful::new` makes one of a `StatefulHandler`",
    note = "a `Handler` is not a `SessionHandler`; a server takes both"
)]
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

/// Calls of one session, and what they reply: framed as the session frames, and bounded as the replies of message handlers.
pub(super) struct SessionCalls {
    pub(super) replies: Replies,
    ends_lines: bool,
}

impl SessionCalls {
    pub(super) fn new(session: &Session) -> Self {
        Self { replies: Replies::new(session.new_encoder()), ends_lines: false }
    }

    /// Begins a call; how much it may reply, in bytes.
    pub(super) fn begin(&mut self, session: &Inner) -> usize {
        session.exchange_encoder(self.replies.encoder_mut());
        session.follow_in(self.replies.encoder_mut());
        if session.ends_lines() != self.ends_lines {
            self.ends_lines = !self.ends_lines;
            self.replies.end_lines(self.ends_lines);
        }
        session.reply_limit()
    }

    /// Ends a call that was begun with `limit`, and queues what it replied, if it succeeded; whether it ends the session.
    pub(super) fn end(
        &mut self,
        session: &Inner,
        limit: usize,
        result: Result<(), HandlerError>,
    ) -> Result<bool, HandlerError> {
        session.exchange_encoder(self.replies.encoder_mut());
        if let Some(refused) = self.replies.take_refused()
            && limit < session.max_reply
        {
            session.note_withheld(refused.count, refused.len);
        }
        result?;
        let closes = self.replies.closes();
        if !session.push_framed(self.replies.len(), |queue| self.replies.drain_into(queue)) {
            self.replies.messages().try_for_each(|message| session.push_ended(message))?;
        }
        Ok(closes)
    }
}
