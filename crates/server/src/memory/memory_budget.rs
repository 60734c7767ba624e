//! A memory budget for all connections of a server, of all workers: what they keep while they wait, and which are closed
//! when that is too much.
//!
//! # The rule
//!
//! 1. A connection that waits with more than [`FREE`] bytes in its buffers counts, with all of them; others cost nothing.
//! 2. When one that begins to wait, or to keep more, takes the sum above the budget, connections end until those that stay
//!    are within it: the largest first, by powers of two, and among equals the one that has kept so much for longest.
//! 3. What those keep counts until it is freed. If that takes the sum above the budget by an eighth, a connection that
//!    wants more ends at once, so none waits for memory and no more than that is kept.
//!
//! An order by powers of two changes seldom, so it is nearly always enough to add to the sum.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use swapwire_core::Peer;

use crate::Limits;
use crate::metrics::{IncidentLog, LogLimiter};

/// What a connection may keep without being counted: what a session reads into, so that idle ones do not count.
pub(crate) const FREE: usize = 8 << 10;

#[derive(Debug)]
pub(crate) struct MemoryBudget {
    budget: usize,
    kept: AtomicUsize,
    holders: Mutex<Holders>,
    log_limiter: LogLimiter,
}

#[derive(Debug, Default)]
struct Holders {
    /// Those that count and were not told to end, by the power of two of what they keep, and by when they came to keep so
    /// much: at most one for each connection.
    by_size: BTreeMap<Key, Arc<Holder>>,
    moves: u64,
    /// What those keep that were told to end.
    leaving: usize,
}

type Key = (u32, u64);

#[derive(Debug)]
struct Holder {
    waker: Waker,
    bytes: AtomicUsize,
    /// What it kept when it was told to end; 0 if it was not.
    told: AtomicUsize,
}

impl MemoryBudget {
    /// If there is a budget.
    pub(crate) fn new(limits: &Limits) -> Option<Arc<Self>> {
        let budget = |budget| Self {
            budget,
            kept: AtomicUsize::new(0),
            holders: Mutex::default(),
            log_limiter: LogLimiter::default(),
        };
        limits.memory_budget.map(budget).map(Arc::new)
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells connections to end; whether that of `own` is one of them.
    #[cold]
    fn make_room(&self, own: &Reservation) -> bool {
        let mut told = Vec::new();
        let mut holders = self.holders();
        if self.kept.load(Relaxed) > self.budget.saturating_add(self.budget / 8) {
            holders.tell(own.key);
        }
        while self.kept.load(Relaxed).saturating_sub(holders.leaving) > self.budget {
            let Some(holder) = holders.largest().and_then(|largest| holders.tell(largest)) else { break };
            told.push(holder);
        }
        drop(holders);
        told.iter().filter(|holder| !Arc::ptr_eq(holder, &own.holder)).for_each(|holder| holder.waker.wake_by_ref());
        own.must_end()
    }

    /// Logs that a connection was closed because it kept too much.
    #[cold]
    pub(crate) fn log_closed(&self, log: &IncidentLog, peer: &Peer) {
        tracing::debug!(endpoint = %log.endpoint, %peer, "closed: it kept the most while the connections exceeded the memory budget");
        if self.log_limiter.is_due() {
            let (budget, kept) = (self.budget, self.kept.load(Relaxed));
            let closed = log.stats.snapshot().over_budget + 1;
            tracing::warn!(endpoint = %log.endpoint, budget, kept, closed, "the memory budget is exceeded: closing the connections that keep the most");
        }
    }
}

impl Holders {
    fn largest(&self) -> Option<Key> {
        let (class, _) = *self.by_size.last_key_value()?.0;
        self.by_size.range((class, 0)..).next().map(|(key, _)| *key)
    }

    fn tell(&mut self, key: Key) -> Option<Arc<Holder>> {
        let holder = self.by_size.remove(&key)?;
        let bytes = holder.bytes.load(Relaxed);
        self.leaving += bytes;
        holder.told.store(bytes, Relaxed);
        Some(holder)
    }
}

/// What one connection keeps, as counted by the budget. Nothing costs 8 bytes.
#[derive(Debug, Default)]
pub(crate) struct HeldMemory(Option<Box<Reservation>>);

#[derive(Debug)]
struct Reservation {
    budget: Arc<MemoryBudget>,
    holder: Arc<Holder>,
    bytes: usize,
    key: Key,
}

impl HeldMemory {
    /// Counts what the connection of this task keeps while it waits; whether there is no room for it, so that it has to end.
    /// The task is woken when that changes, by the waker that it was first given.
    #[inline]
    pub(crate) fn set(&mut self, budget: Option<&Arc<MemoryBudget>>, kept: usize, waker: &Waker) -> bool {
        match budget {
            Some(budget) if kept > FREE => self.0.get_or_insert_with(|| Reservation::new(budget, waker)).set(kept),
            _ => {
                self.0 = None;
                false
            }
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn must_end(&self) -> bool {
        self.0.as_ref().is_some_and(|claim| claim.must_end())
    }
}

impl Reservation {
    fn new(budget: &Arc<MemoryBudget>, waker: &Waker) -> Box<Self> {
        let holder = Holder { waker: waker.clone(), bytes: AtomicUsize::new(0), told: AtomicUsize::new(0) };
        Box::new(Self { budget: Arc::clone(budget), holder: Arc::new(holder), bytes: 0, key: (0, 0) })
    }

    fn must_end(&self) -> bool {
        self.holder.told.load(Relaxed) != 0
    }

    fn set(&mut self, kept: usize) -> bool {
        if kept == self.bytes || self.must_end() {
            return self.must_end();
        }
        let before = std::mem::replace(&mut self.bytes, kept);
        self.holder.bytes.store(kept, Relaxed);
        let budget = &*self.budget;
        let sum = if kept > before {
            budget.kept.fetch_add(kept - before, Relaxed).saturating_add(kept - before)
        } else {
            budget.kept.fetch_sub(before - kept, Relaxed);
            0
        };
        if kept.ilog2() != self.key.0 {
            let mut holders = budget.holders();
            // If it is not there, it was told meanwhile.
            if holders.by_size.remove(&self.key).is_some() || before == 0 {
                holders.moves += 1;
                self.key = (kept.ilog2(), holders.moves);
                holders.by_size.insert(self.key, Arc::clone(&self.holder));
            }
        }
        if sum > budget.budget { budget.make_room(self) } else { self.must_end() }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.kept.fetch_sub(self.bytes, Relaxed);
        let mut holders = self.budget.holders();
        holders.by_size.remove(&self.key);
        holders.leaving -= self.holder.told.load(Relaxed);
    }
}

#[cfg(test)]
mod tests;
