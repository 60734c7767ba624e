//! How much the datagrams of one source may ask for in a second.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use swapwire_core::{RecvBatch, RecvMeta};
use tokio::time::Instant;

use super::source_quota::Source;

/// Sets of [`WAYS`] buckets: 1 MiB for each socket, allocated zeroed.
const SETS: usize = 1 << 14;
/// As many as fit a line of memory.
const WAYS: usize = 4;
const SECOND: u64 = 1_000_000_000;

/// A token bucket for each source that sent lately: an IPv4 /24 or an IPv6 /64, because forged addresses are aimed at a
/// network. The table has one size. When all places where a source may stand are taken, the one that owes least goes: so a
/// flood from random addresses does not free the one that a victim's bucket has.
///
/// (NSD's response rate limiting, `rrl-size` and `rrl-ratelimit` of `nsd.conf(5)`, has the same shape.)
pub(crate) struct RateLimiter {
    sets: Box<[[Bucket; WAYS]]>,
    hasher: RandomState,
    base: Instant,
    /// How long one datagram counts, in nanoseconds.
    step: u64,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Of the source, keyed with random numbers.
    hash: u64,
    /// When it will be full again, in nanoseconds since the base.
    full_at: u64,
}

impl RateLimiter {
    /// So many datagrams a second for each source, and as many at once after a silence.
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            sets: vec![[Bucket::default(); WAYS]; SETS].into_boxed_slice(),
            hasher: RandomState::new(),
            base: Instant::now(),
            step: SECOND / u64::from(rate.max(1)),
        }
    }

    /// Removes the datagrams of sources above their rate from `batch`, and returns their number.
    pub(crate) fn sift(&mut self, batch: &mut RecvBatch) -> u64 {
        // A full bucket owes nothing, and time begins one second in, so that nothing is negative.
        let now = u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX / 2).saturating_add(SECOND);
        let mut refused = 0;
        batch.retain(|meta| {
            let count = meta.count() as u64;
            let admitted = self.admits(meta, count, now);
            refused += if admitted { 0 } else { count };
            admitted
        });
        refused
    }

    /// A train is admitted as a whole while there is one token, and may leave a debt of its length.
    fn admits(&mut self, meta: &RecvMeta, count: u64, now: u64) -> bool {
        let Some(source) = meta.peer.as_ref().and_then(|peer| Source::of(peer, 24)) else { return true };
        let hash = self.hasher.hash_one(source);
        let set = &mut self.sets[hash as usize % SETS];
        let place = set.iter().position(|bucket| bucket.hash == hash);
        let place = place.unwrap_or_else(|| {
            let least = (0..WAYS).min_by_key(|place| set[*place].full_at).unwrap_or(0);
            set[least] = Bucket { hash, full_at: 0 };
            least
        });
        let bucket = &mut set[place];
        let full_at = bucket.full_at.max(now);
        if full_at + self.step > now + SECOND {
            return false;
        }
        bucket.full_at = full_at + self.step * count;
        true
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Throttle({:?} for each)", Duration::from_nanos(self.step))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::num::NonZeroUsize;

    use swapwire_core::Addr;

    use super::*;

    fn one(peer: &str) -> RecvBatch {
        let mut batch = RecvBatch::new(1, 8);
        batch.push_message(Some(Addr::inet(peer.parse().unwrap())), b"x");
        batch
    }

    fn passes(limiter: &mut RateLimiter, peer: &str) -> bool {
        let mut batch = one(peer);
        assert_eq!(limiter.sift(&mut batch), u64::from(batch.is_empty()));
        !batch.is_empty()
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_has_its_rate_whatever_its_addresses() {
        let mut limiter = RateLimiter::new(10);
        let mut passed = 0;
        for i in 0..10_000 {
            passed += u32::from(passes(&mut limiter, &format!("192.0.2.{}:{}", i % 256, i + 1)));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!((109..=110).contains(&passed), "{passed}");
        assert!(passes(&mut limiter, "192.0.3.1:1") && passes(&mut limiter, "[2001:db8::1]:1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_everywhere_does_not_forgive_whom_it_is_aimed_at() {
        let mut limiter = RateLimiter::new(10);
        let mut victim = 0;
        for i in 0..300_000_u32 {
            let [_, a, b, c] = i.wrapping_mul(2_654_435_761).to_be_bytes();
            passes(&mut limiter, &format!("[2001:db8:{a:x}{b:02x}:{c:x}::1]:1"));
            victim += u32::from(passes(&mut limiter, "192.0.2.1:1"));
        }
        assert_eq!(victim, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_train_counts_as_what_is_in_it() {
        let mut limiter = RateLimiter::new(4);
        let train = || {
            let mut batch = RecvBatch::new(1, 8);
            let peer = Some(Addr::inet("192.0.2.1:1".parse().unwrap()));
            let mut meta = RecvMeta::new(peer, 8);
            meta.segment = NonZeroUsize::new(1);
            batch.push(meta);
            batch
        };
        let mut first = train();
        assert_eq!((limiter.sift(&mut first), first.len()), (0, 1));
        assert_eq!(limiter.sift(&mut train()), 8);
        // It owes four more than a second gives.
        tokio::time::advance(Duration::from_millis(1200)).await;
        assert!(!passes(&mut limiter, "192.0.2.1:1"));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(passes(&mut limiter, "192.0.2.1:1"));
    }

    #[tokio::test(start_paused = true)]
    async fn wires_without_sources_are_not_limited() {
        let mut limiter = RateLimiter::new(1);
        let mut batch = RecvBatch::new(9, 8);
        (0..8).for_each(|_| batch.push_message(Addr::named("mem", "x"), b"x"));
        batch.push_message(None, b"x");
        assert_eq!((limiter.sift(&mut batch), batch.len()), (0, 9));
    }
}
