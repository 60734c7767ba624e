//! How much of the heap is used: only a program can choose the allocator that counts it.

use std::sync::OnceLock;

/// Counts the heap of one thread, or of a process that does nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    /// From now on, what is there already does not count.
    pub reset: fn(),
    /// The most that was there at once since, in bytes.
    pub peak: fn() -> usize,
    /// How much of that may be somebody else's.
    pub noise: usize,
}

static METER: OnceLock<Meter> = OnceLock::new();

impl Meter {
    /// Has the bodies that promise a bound look at it.
    pub fn install(self) {
        METER.get_or_init(|| self);
    }
}

pub(crate) fn reset() {
    if let Some(meter) = METER.get() {
        (meter.reset)();
    }
}

/// What was there at once since, in bytes, at the least.
pub(crate) fn peak() -> usize {
    METER.get().map_or(0, |meter| (meter.peak)().saturating_sub(meter.noise))
}
