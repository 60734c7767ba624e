//! Messages that arrive.

use bytes::Bytes;
use swapwire_core::RecvError;

use super::super::super::decode::{Next, Rule};
use super::Model;

type Received = Option<Result<Option<Bytes>, RecvError>>;

impl Model {
    /// A receive, which was cancelled if there is none.
    pub(super) fn received(&mut self, received: Received) {
        self.heard = true;
        if self.deaf {
            assert!(matches!(received, Some(Ok(None))), "{received:?} behind the end");
            return;
        }
        match self.rule.clone() {
            Some(rule) => self.received_bytes(&rule, received),
            None => self.received_message(received),
        }
    }

    fn received_bytes(&mut self, rule: &Rule, received: Received) {
        let wire = self.wire.clone();
        let state = wire.state();
        let unread = &state.input[self.at..state.read];
        let next = rule.next(unread, self.bounds.max_message, state.ended);
        match (received, next) {
            (Some(Ok(Some(message))), Next::Frame { message: place, consumed }) => {
                let (len, consumed) = match rule {
                    Rule::Chunks => (message.len(), message.len()),
                    _ => (place.len(), consumed),
                };
                assert!(!matches!(rule, Rule::Chunks) || (1..=place.len()).contains(&len));
                assert_eq!(message, unread[place.start..][..len]);
                self.at += consumed;
                self.received += 1;
            }
            (Some(Ok(None)), Next::Need) => {
                assert!(unread.is_empty() && (state.ended || self.draining), "an end inside the stream");
                self.deaf |= state.ended;
            }
            (Some(Err(RecvError::Frame(_))), Next::TooLarge | Next::Truncated | Next::Malformed) => self.deaf = true,
            (Some(Err(RecvError::Io(_))), Next::Need) if state.read_failed => self.deaf = true,
            (None, Next::Need) if !state.ended && !state.read_failed => {}
            (received, next) => panic!("{received:?}, where {rule:?} has {next:?} of {unread:?}"),
        }
    }

    fn received_message(&mut self, received: Received) {
        let wire = self.wire.clone();
        let mut state = wire.state();
        let next = state.inbox.received.pop_front();
        match (received, next) {
            (Some(Ok(Some(message))), Some(place)) => {
                let sent = &state.input[place];
                let end = match () {
                    () if !self.lines => 0,
                    () if sent.ends_with(b"\r\n") => 2,
                    () => usize::from(sent.ends_with(b"\n")),
                };
                assert_eq!(message, sent[..sent.len() - end]);
                self.ends = end > 0;
                self.received += 1;
            }
            (Some(Err(RecvError::TooLarge { len, max })), Some(place)) => {
                assert!(len == place.len() && len > max && max == self.bounds.max_message);
            }
            (Some(Ok(None)), None) => {
                assert!(state.ended || self.draining, "an end that was not told");
                self.deaf |= state.ended;
            }
            (Some(Err(RecvError::TooLarge { .. } | RecvError::PeerNoise(_))), None) => {}
            (Some(Err(RecvError::Io(_))), None) if state.read_failed => self.deaf = true,
            (None, None) if !state.ended && !state.read_failed => {}
            (received, next) => panic!("{received:?}, where {next:?} was read"),
        }
    }
}
