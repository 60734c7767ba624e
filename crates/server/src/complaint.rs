//! What is logged seldom, however often it happens.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use swapwire_core::Printable;
use tokio::time::Instant;

/// The text of an error of a handler or a transport, which may repeat what a peer said.
pub(crate) fn shown<T>(text: T) -> Printable<T> {
    Printable::new(text).at_most(256)
}

/// What is logged once a second at the most, by whoever shares it.
#[derive(Debug, Default)]
pub(crate) struct Complaint(Mutex<Option<Instant>>);

impl Complaint {
    /// Whether it is to be logged now; then it was.
    pub(crate) fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed() >= Duration::from_secs(1));
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_due_once_a_second() {
        let complaint = Complaint::default();
        let mut due = 0;
        for _ in 0..101 {
            due += u32::from(complaint.is_due());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(due, 11);
    }
}
