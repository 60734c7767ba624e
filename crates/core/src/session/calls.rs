//! What a session offers to those who answer its messages one by one: messages as they were received together, and a queue
//! that takes what is framed already; and filters, which see the messages of others before they are given out.

use std::future::poll_fn;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::Session;
use super::outbox::Inner;
use crate::{FrameEncoder, RecvError, SendError};

/// After so many errors in a row, other tasks run.
const ERRORS_IN_A_ROW: u32 = 64;
/// So many messages above the limit end a session: each costs the peer less than it costs here.
const MOST_TOO_LARGE: u32 = 100;

/// What becomes of a message.
pub(crate) enum Verdict {
    GivenOut,
    Dropped,
    /// The session receives nothing more.
    Ends,
}

/// Looks at each message that was received.
pub(crate) trait MessageFilter: Send {
    /// What becomes of `message`. It may queue answers.
    fn look_at(&mut self, message: &[u8], inner: &Inner) -> Verdict;
}

impl Session {
    /// Adds a filter behind those that it has.
    pub(crate) fn add_filter(&mut self, filter: Box<dyn MessageFilter>) {
        self.read.filters.push(filter);
    }

    /// An encoder as that of what it sends.
    pub(crate) fn new_encoder(&self) -> FrameEncoder {
        self.read.new_encoder(&self.owner.0)
    }

    /// The next message; one that was received already comes before the queue is written, so that replies leave together.
    /// Messages that are lost, and do not end the session, are passed over.
    pub(crate) async fn next_message(&mut self) -> Result<Option<Bytes>, RecvError> {
        if let Some(message) = self.read.received(&self.owner.0)? {
            return Ok(Some(message));
        }
        let mut errors = 0;
        poll_fn(|cx| {
            loop {
                match self.poll_recv(cx) {
                    Poll::Ready(Err(error @ RecvError::TooLarge { .. })) => {
                        if self.owner.0.counters.refused() >= MOST_TOO_LARGE {
                            return Poll::Ready(Err(error));
                        }
                    }
                    Poll::Ready(Err(RecvError::PeerNoise(_))) => {}
                    other => return other,
                }
                errors += 1;
                if errors % ERRORS_IN_A_ROW == 0 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Waits until the queue has room, and writes nothing if it has. Errors about single messages are passed over.
    pub(crate) async fn ready_for_more(&mut self) -> Result<(), SendError> {
        if self.owner.0.has_room() {
            return Ok(());
        }
        poll_fn(|cx| {
            loop {
                match self.owner.0.poll_ready(cx) {
                    Poll::Ready(Err(error)) if !matches!(error, SendError::Io(_) | SendError::Closed) => {}
                    other => return other,
                }
            }
        })
        .await
    }
}

impl Inner {
    /// Whether replies end as lines, where the wire has boundaries.
    pub(crate) fn ends_lines(&self) -> bool {
        self.ends_lines.load(Relaxed)
    }

    /// What `encoder` frames is of the kind of the last message that was received.
    #[inline]
    pub(crate) fn follow_in(&self, encoder: &mut FrameEncoder) {
        if self.is_framed {
            encoder.follow(self.tag.load(Relaxed));
        }
    }

    /// Writes what is queued while a call waits; ready when nothing more can be sent.
    pub(crate) fn poll_write_meanwhile(&self, cx: &mut Context<'_>) -> Poll<SendError> {
        if self.poll_write(cx).is_ready() && self.is_closed() {
            return Poll::Ready(self.take_error().err().unwrap_or(SendError::Closed));
        }
        Poll::Pending
    }
}
