//! Messages that leave.

use swapwire_core::{Progress, SendError, TrySendError};

use super::Model;

impl Model {
    /// Whether `message` can be sent at all; its frame is in `self.frame` then.
    fn fits(&mut self, message: &[u8]) -> bool {
        self.frame.clear();
        match &self.rule {
            Some(rule) => rule.encode(message, self.bounds.max_message, &mut self.frame),
            None => {
                self.frame.extend_from_slice(message);
                if self.ends {
                    self.frame.push(b'\n');
                }
                self.frame.len() <= self.bounds.max_message.min(900)
            }
        }
    }

    fn queued(&mut self, message: &[u8]) {
        assert!(!self.closed, "a message was taken behind the end");
        assert!(self.fits(message), "{message:?} cannot be framed, but was taken");
        let mut state = self.wire.state();
        state.expected.extend_from_slice(&self.frame);
        if self.rule.is_none() {
            state.inbox.expected.push_back(self.frame.len());
        }
    }

    /// An error that a sender was told.
    pub(super) fn told(&mut self, error: &SendError) {
        let state = self.wire.state();
        self.closed |= state.write_failed;
        match error {
            SendError::Closed => assert!(self.closed, "closed too early"),
            SendError::Io(_) => assert!(state.write_failed || state.flush_failed, "{error}"),
            _ => assert!(state.inbox.noise > 0, "{error}"),
        }
    }

    /// An error that is about `message`, or about an earlier one.
    fn refused(&mut self, error: &SendError, message: &[u8]) {
        if !matches!(error, SendError::TooLarge { .. } | SendError::Frame(_)) || self.fits(message) {
            self.told(error);
        }
    }

    /// A send, which was cancelled if there is none.
    pub(super) fn sent(&mut self, sent: Option<Result<(), SendError>>, message: &[u8], after: &Progress) {
        match sent {
            Some(Ok(())) => self.queued(message),
            Some(Err(error)) => self.refused(&error, message),
            None => assert!(after.unsent >= self.bounds.out_queue.max(1), "it waits for room, and there is room"),
        }
    }

    pub(super) fn tried(&mut self, tried: Result<(), TrySendError>, message: &[u8], before: &Progress) {
        let full = before.unsent >= self.bounds.out_queue.max(1);
        match tried {
            Ok(()) => {
                assert!(!full, "there was no room");
                self.queued(message);
            }
            Err(TrySendError::Full) => assert!(full, "there was room"),
            Err(TrySendError::Failed(error)) => self.refused(&error, message),
            Err(error) => panic!("{error}"),
        }
    }

    fn is_written(&self) {
        let state = self.wire.state();
        if !state.write_failed && !self.raw {
            assert_eq!(state.written, state.expected.len(), "something is left");
        }
    }

    pub(super) fn flushed(&mut self, flushed: Option<Result<(), SendError>>) {
        match flushed {
            Some(Ok(())) => self.is_written(),
            Some(Err(error)) => self.told(&error),
            None => {}
        }
    }

    pub(super) fn shut(&mut self, shut: Option<Result<(), SendError>>) {
        self.closed = true;
        self.flushed(shut);
    }
}
