//! What is logged seldom, however often it happens.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use tokio::time::Instant;

/// What is logged once a second at the most, by all that use it. No thread waits for another.
#[derive(Debug, Default)]
pub(crate) struct LogLimiter {
    last: Mutex<Option<Instant>>,
    suppressed: AtomicU64,
}

impl LogLimiter {
    /// Whether it is to be logged now; then it was.
    pub(crate) fn is_due(&self) -> bool {
        self.due().is_some()
    }

    /// How many were not logged since the last one that was, if this one is to be logged now; then it was.
    pub(crate) fn due(&self) -> Option<u64> {
        let last = match self.last.try_lock() {
            Ok(last) => Some(last),
            Err(TryLockError::Poisoned(last)) => Some(last.into_inner()),
            // Another thread is just logging it.
            Err(TryLockError::WouldBlock) => None,
        };
        match last {
            Some(mut last) if last.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) => {
                *last = Some(Instant::now());
                Some(self.suppressed.swap(0, Relaxed))
            }
            _ => {
                self.suppressed.fetch_add(1, Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_due_once_a_second_and_says_how_often_it_was_not() {
        let log_limiter = LogLimiter::default();
        let mut due = Vec::new();
        for _ in 0..101 {
            due.extend(log_limiter.due());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(due, [[0].as_slice(), &[9; 10]].concat());
    }
}
