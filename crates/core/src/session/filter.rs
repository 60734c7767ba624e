//! What looks at the messages of a session before it gives them out.

use super::Session;
use super::outbox::Inner;

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
}
