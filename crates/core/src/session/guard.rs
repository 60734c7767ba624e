//! What a server keeps of a session.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, ready};

use super::outbox::Inner;
use crate::{Addr, Goodbye, Peer, Progress, SendError};

/// How a session broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionFault {
    /// The peer sent what is no frame, or a frame above the limit.
    BadFrame = 1,
    /// The connection broke.
    Broken,
}

/// What a server keeps of a session that it handed to a handler: its progress, and the wire after the handler returned.
/// Dropping it closes the wire.
pub struct SessionGuard {
    inner: Arc<Inner>,
}

impl SessionGuard {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// How far the session has come.
    pub fn progress(&self) -> Progress {
        self.inner.progress()
    }

    /// How the session broke off, if it did. Its handler may not have noticed, or have gone on all the same.
    pub fn fault(&self) -> Option<SessionFault> {
        self.inner.counters.fault()
    }

    /// Whether the peer has ended, as far as was received.
    pub fn has_ended(&self) -> bool {
        self.inner.counters.ended.load(Relaxed)
    }

    /// How many messages above the limit were dropped.
    pub fn refused(&self) -> u32 {
        self.inner.counters.refused.load(Relaxed)
    }

    /// The other end.
    pub fn peer(&self) -> &Peer {
        &self.inner.info.peer
    }

    /// This end.
    pub fn local(&self) -> &Addr {
        &self.inner.info.local
    }

    /// How many messages, since this was last asked, left in another form than they should have: see
    /// [`FrameEncoder::take_changed`](crate::FrameEncoder::take_changed).
    pub fn take_changed(&self) -> u64 {
        self.inner.take_changed()
    }

    /// Queues the good-bye of a wire whose messages are frames ([`Link::Framed`](crate::Link::Framed)), unless it was said, and
    /// nothing behind it; whether it is such a wire.
    pub fn goodbye(&self, why: Goodbye<'_>) -> bool {
        self.inner.goodbye(why);
        self.inner.is_framed
    }

    /// Writes the queue.
    ///
    /// # Errors
    /// What was queued could not be sent, now or earlier, and no call has returned that error.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn flush(&self) -> Result<(), SendError> {
        poll_fn(|cx| self.inner.poll_flush(cx)).await
    }

    /// Closes gracefully: writes the queue, ends the sending half, then reads and forgets up to `discard` bytes until the
    /// peer ends too. (A `close` with unread input makes the system drop what the peer has not yet received.)
    ///
    /// # Errors
    /// The connection is over.
    ///
    /// # Cancel safety
    /// Cancel safe; dropping the guard then closes at once.
    pub async fn close(&self, discard: usize) -> Result<(), SendError> {
        poll_fn(|cx| self.inner.poll_shutdown(cx)).await?;
        let mut left = discard;
        let mut buffer = [0; 1024];
        poll_fn(|cx| {
            while left > 0 {
                let len = ready!(self.inner.poll_discard(cx, &mut buffer))?;
                left = if len == 0 { 0 } else { left.saturating_sub(len) };
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.inner.abort();
    }
}

impl fmt::Debug for SessionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionGuard({})", self.inner.info.peer)
    }
}
