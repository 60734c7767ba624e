//! A timer that costs nothing while it waits.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes its task once when it goes off. Looking whether it did takes no lock and reads no clock.
///
/// It must always be polled by the same task.
#[derive(Debug)]
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    armed: bool,
}

impl Alarm {
    /// Goes off after `after`.
    pub(crate) fn new(after: Duration) -> Self {
        Self { sleep: Box::pin(sleep_until(Instant::now() + after)), armed: false }
    }

    /// Sets it anew.
    pub(crate) fn set(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.armed = false;
    }

    /// Whether it went off.
    pub(crate) fn rings(&mut self, cx: &mut Context<'_>) -> bool {
        if self.armed {
            return self.sleep.is_elapsed();
        }
        self.armed = true;
        self.sleep.as_mut().poll(cx) == Poll::Ready(())
    }
}
