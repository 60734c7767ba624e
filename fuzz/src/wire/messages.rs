//! The same wire with boundaries.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::task::{Context, Poll};

use bytes::BytesMut;
use swapwire_core::{MessageStream, RecvError, SendBatch, SendError};

use super::{Served, State, Step};

/// The longest message of such a wire.
const MAX: usize = 900;

/// Messages under way.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Which parts of the input were received as messages.
    pub(crate) received: VecDeque<Range<usize>>,
    /// How long the messages are that are to be written.
    pub(crate) expected: VecDeque<usize>,
    /// Errors about single messages that were told.
    pub(crate) noise: usize,
    /// Bytes of messages that were to be written and were not.
    pub(crate) lost: usize,
}

impl State {
    fn poll_one(&mut self, cx: &Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        assert!(!self.write_failed && !self.shut, "a message behind the end");
        let len = self.inbox.expected.front().copied().expect("no message was sent");
        assert_eq!(message, &self.expected[self.written..][..len]);
        let step = self.step();
        let error = match step {
            Step::Wait { woken } => return self.wait(cx, woken),
            Step::Fail(0) => SendError::Closed,
            Step::Fail(1) | Step::Nothing => SendError::Io(io::ErrorKind::BrokenPipe.into()),
            Step::Fail(2) => SendError::TooLarge { len, max: 0 },
            Step::Fail(3) => SendError::PeerNoise(io::ErrorKind::ConnectionRefused.into()),
            Step::Fail(_) => SendError::Congested,
            Step::Move(_) => {
                self.inbox.expected.pop_front();
                self.written += len;
                return Poll::Ready(Ok(()));
            }
        };
        if matches!(error, SendError::Closed | SendError::Io(_)) {
            self.write_failed = true;
        } else {
            self.inbox.noise += 1;
            self.inbox.lost += len;
            self.inbox.expected.pop_front();
            self.written += len;
        }
        Poll::Ready(Err(error))
    }
}

impl MessageStream for Served {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        let state = &mut *self.0.state();
        if state.ended {
            state.idle += 1;
            return Poll::Ready(Ok(None));
        }
        match state.step() {
            Step::Wait { woken } => return state.wait(cx, woken),
            Step::Fail(0) => {
                state.read_failed = true;
                return state.fail().map_err(RecvError::Io);
            }
            Step::Fail(1) => return Poll::Ready(Err(RecvError::TooLarge { len: MAX + 1, max: MAX })),
            Step::Fail(_) => return Poll::Ready(Err(RecvError::PeerNoise(io::ErrorKind::ConnectionRefused.into()))),
            Step::Move(_) if state.read < state.input.len() => {}
            Step::Move(_) | Step::Nothing => {
                state.ended = true;
                return Poll::Ready(Ok(None));
            }
        }
        // Its first byte says how long it is.
        let len = usize::from(state.input[state.read]) * 4;
        let len = len.min(MAX).min(state.input.len() - state.read - 1);
        let message = state.read + 1..state.read + 1 + len;
        into.extend_from_slice(&state.input[message.clone()]);
        state.read = message.end;
        state.inbox.received.push_back(message);
        Poll::Ready(Ok(Some(len)))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        self.0.state().poll_one(cx, message)
    }

    fn poll_send_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &SendBatch,
        from: usize,
    ) -> Poll<Result<usize, SendError>> {
        let state = &mut *self.0.state();
        let mut sent = 0;
        // An error behind the first is told by the next call, which meets it again.
        for entry in batch.iter_from(from).take(3) {
            if sent > 0 && state.script.as_slice().first().is_some_and(|step| step & 7 < 4) {
                break;
            }
            match state.poll_one(cx, entry.message) {
                Poll::Ready(Ok(())) => sent += 1,
                other => return other.map_ok(|()| 0),
            }
        }
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.state().poll_flush(cx).map_err(SendError::Io)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.0.state().poll_shutdown(cx).map_err(SendError::Io)
    }

    fn max_message(&self) -> usize {
        MAX
    }
}
