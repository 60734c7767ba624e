//! Where a connection or a datagram comes from, for limits on each source.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use swapwire_core::Addr;

use crate::sync::{Mutex, MutexGuard};

/// One source: an IPv4 address or a shorter prefix, or an IPv6 /64, which is what one customer of a provider has at
/// least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    V4(u32),
    V6(u64),
}

impl Source {
    /// Of the first `bits`, from 1 to 32, of an IPv4 address. `None` for wires without IP addresses: what is on this
    /// machine is not limited by source. A mapped address counts as the IPv4 address that it is.
    pub(crate) fn of(addr: &Addr, bits: u32) -> Option<Self> {
        let Addr::Inet(addr) = addr else { return None };
        Some(match addr.ip().to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits() & (u32::MAX << (32 - bits))),
            IpAddr::V6(ip) => Self::V6((ip.to_bits() >> 64) as u64),
        })
    }
}

/// How much each source has, of something of which it may have `most`. One entry for each source that has anything, so no
/// more than there are connections or sessions.
pub(crate) struct SourceQuota {
    /// The keys are hashed with random numbers, so a peer cannot choose addresses that collide.
    table: Mutex<HashMap<Source, usize>>,
    most: usize,
}

impl SourceQuota {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { table: Mutex::new(HashMap::new()), most })
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Source, usize>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more for `source`; `None` if it has what it may have.
    pub(crate) fn take(self: &Arc<Self>, source: Source) -> Option<Box<SourcePermit>> {
        let mut table = self.table();
        let count = table.entry(source).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Box::new(SourcePermit { quota: Arc::clone(self), source }))
    }
}

/// Counts to one source, until it is dropped.
pub(crate) struct SourcePermit {
    quota: Arc<SourceQuota>,
    source: Source,
}

impl Drop for SourcePermit {
    fn drop(&mut self) {
        let mut table = self.quota.table();
        if let Entry::Occupied(mut entry) = table.entry(self.source) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

impl fmt::Debug for SourceQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceQuota({} sources, at most {} each)", self.table().len(), self.most)
    }
}

impl fmt::Debug for SourcePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourcePermit({:?})", self.source)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn source(text: &str, bits: u32) -> Source {
        Source::of(&Addr::Inet(format!("{text}:7").parse().unwrap()), bits).unwrap()
    }

    #[test]
    fn neighbours_are_one_source_and_others_are_not() {
        assert_eq!(source("192.0.2.1", 32), source("[::ffff:192.0.2.1]", 32));
        assert_ne!(source("192.0.2.1", 32), source("192.0.2.2", 32));
        assert_eq!(source("192.0.2.1", 24), source("192.0.2.254", 24));
        assert_ne!(source("192.0.2.1", 24), source("192.0.3.1", 24));
        assert_eq!(source("[2001:db8::1]", 32), source("[2001:db8::ffff:0:0:1]", 32));
        assert_ne!(source("[2001:db8::1]", 32), source("[2001:db8:0:1::1]", 32));
        assert!(Source::of(&Addr::named("mem", "x").unwrap(), 32).is_none());
    }

    #[test]
    fn each_source_has_its_share_and_nothing_is_left_of_it() {
        let quota = SourceQuota::new(2);
        let (a, b) = (source("192.0.2.1", 32), source("192.0.2.2", 32));
        let first = quota.take(a).unwrap();
        let second = quota.take(a).unwrap();
        assert!(quota.take(a).is_none());
        let other = quota.take(b).unwrap();
        drop(first);
        drop(quota.take(a).unwrap());
        drop((second, other));
        assert!(quota.table().is_empty());
    }
}
