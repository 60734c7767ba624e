//! Whether a clock ticks: only while the time is asked for.

use std::task::Waker;

use crate::sync::{AtomicU8, AtomicWaker, Ordering};

/// The time was not read of late: it stands still.
const STOPPED: u8 = 0;
/// It goes on for one more tick.
const COASTING: u8 = 1;
/// The time was read since the last tick.
const USED: u8 = 2;

#[derive(Debug)]
pub(crate) struct TickControl {
    state: AtomicU8,
    /// The task that makes it tick.
    driver: AtomicWaker,
}

impl TickControl {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(STOPPED), driver: AtomicWaker::new() }
    }

    /// Whether the time was read since the last tick, so that another one is to come. A caller that gets `true` sees what the clock was
    /// set to.
    #[inline(always)]
    pub(crate) fn is_used(&self) -> bool {
        self.state.load(Ordering::Acquire) == USED
    }

    /// Has it go on for at least a whole tick. If it stood still, it is `set`, before others find it used, and its driver
    /// is woken.
    pub(crate) fn use_it(&self, set: impl Fn()) {
        let stood = self.has_stopped();
        if stood {
            set();
        }
        if self.state.swap(USED, Ordering::AcqRel) == STOPPED {
            if !stood {
                set();
            }
            self.driver.wake();
        }
    }

    /// The driver is to be woken when it has stopped and is used again. To be called before a look at
    /// [`TickControl::has_stopped`].
    pub(crate) fn register(&self, driver: &Waker) {
        self.driver.register(driver);
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.state.load(Ordering::Acquire) == STOPPED
    }

    /// For a caller that has entered something for the driver to find: the clock may have stopped since the time was read.
    pub(crate) fn wake_if_stopped(&self) {
        if self.has_stopped() {
            self.driver.wake();
        }
    }

    /// At each tick: it stops after two without a use.
    pub(crate) fn slow_down(&self) {
        if self.state.compare_exchange(USED, COASTING, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            let _ = self.state.compare_exchange(COASTING, STOPPED, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}
