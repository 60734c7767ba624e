//! Waking connections when their next request is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::shared::{Job, Shared};
use crate::load::request::tally::Window;

/// Connections are not woken more often than this: what is due meanwhile is sent together, and its lag counted.
const GRAIN: Duration = Duration::from_micros(20);

/// Wakes the connections of thread `thread` in turn, each time one has a request due, until the end of the window or for ever.
pub(crate) async fn run(job: Arc<Job>, shared: Arc<Shared>, thread: usize, window: Window) {
    let Some(rate) = job.rate else { return };
    let mut timer = timer::Timer::new(job.fine_timer);
    let due = |number: u64| window.epoch + Duration::try_from_secs_f64(number as f64 / rate).unwrap_or(Duration::MAX);
    // The requests of all connections by number; connection `number % connections` sends it.
    let mut number = 0;
    loop {
        let now = Instant::now();
        while due(number) <= now {
            let connection = (number % job.connections as u64) as usize;
            if connection % job.threads == thread {
                let waker = shared.lock().wakers.get(connection / job.threads).cloned().flatten();
                waker.inspect(std::task::Waker::wake_by_ref);
            }
            number += 1;
        }
        let next = due(number);
        if window.end.is_some_and(|end| next >= end) {
            return;
        }
        if job.spin {
            tokio::task::yield_now().await;
        } else {
            timer.wait((next - now).max(GRAIN)).await;
        }
    }
}

/// Linux: tokio's timers are exact to a millisecond; `timerfd_create(2)` to some microseconds.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod timer {
    use std::os::fd::{AsFd as _, AsRawFd, RawFd};
    use std::time::Duration;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::unix::AsyncFd;

    /// `None`: without one, tokio's.
    pub(super) struct Timer(Option<AsyncFd<Fd>>);

    pub(super) struct Fd(TimerFd);

    impl AsRawFd for Fd {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    impl Timer {
        pub(super) fn new(fine: bool) -> Self {
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC);
            #[allow(deprecated, reason = "its successor is unsafe; `Fd` keeps its descriptor for as long as it lives")]
            let timer = timer.ok().and_then(|timer| AsyncFd::new(Fd(timer)).ok());
            Self(timer.filter(|_| fine))
        }

        pub(super) async fn wait(&mut self, time: Duration) {
            let Some(timer) = &self.0 else { return tokio::time::sleep(time).await };
            let once = Expiration::OneShot(TimeSpec::from_duration(time));
            if timer.get_ref().0.set(once, TimerSetTimeFlags::empty()).is_err() {
                return tokio::time::sleep(time).await;
            }
            if let Ok(mut ready) = timer.readable().await {
                let _ = timer.get_ref().0.wait();
                ready.clear_ready();
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod timer {
    use std::time::Duration;

    pub(super) struct Timer;

    impl Timer {
        pub(super) fn new(_fine: bool) -> Self {
            Self
        }

        pub(super) async fn wait(&mut self, time: Duration) {
            tokio::time::sleep(time).await;
        }
    }
}
