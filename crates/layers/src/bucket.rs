//! Token buckets: how many may come in a time.

use std::time::Duration;

use tokio::time::Instant;

/// How fast tokens come, and how many a bucket holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refill {
    /// In which one token comes.
    step: Duration,
    /// In which an empty bucket becomes full.
    size: Duration,
}

/// Longer periods count as this one, so that no sum of times overflows: about 100 years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Refill {
    /// So many in each `period`, and `burst` at once; 0 counts as 1.
    pub(crate) fn new(messages: u32, period: Duration, burst: u32) -> Self {
        let step = period.min(LONGEST).as_nanos().div_ceil(u128::from(messages.max(1)));
        let step = Duration::from_nanos(u64::try_from(step).unwrap_or(u64::MAX));
        Self { step, size: step.saturating_mul(burst.max(1)).min(LONGEST).max(step) }
    }

    /// How long until a bucket has a token that will be full at `full_at`.
    pub(crate) fn wait(&self, full_at: Instant, now: Instant) -> Duration {
        (full_at.saturating_duration_since(now) + self.step).saturating_sub(self.size)
    }

    /// When such a bucket will be full after a token was taken.
    pub(crate) fn take(&self, full_at: Instant, at: Instant) -> Instant {
        full_at.max(at) + self.step
    }
}

/// A token bucket, kept as the moment at which it will be full again.
#[derive(Debug)]
pub(crate) struct Bucket {
    full_at: Instant,
    refill: Refill,
}

impl Bucket {
    pub(crate) fn new(messages: u32, period: Duration, burst: u32) -> Self {
        Self { full_at: Instant::now(), refill: Refill::new(messages, period, burst) }
    }

    /// How long until there is a token.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.refill.wait(self.full_at, now)
    }

    pub(crate) fn take(&mut self, at: Instant) {
        self.full_at = self.refill.take(self.full_at, at);
    }
}
