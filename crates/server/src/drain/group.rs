//! The members of one endpoint: workers that serve it together end together.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use swapwire_core::Bound;

use super::busy_count::BusyCount;
use crate::metrics::LogLimiter;
use crate::sync::CancellationToken;

/// One worker's part in an endpoint that others may serve as well.
#[derive(Debug)]
pub(crate) struct Member {
    group: Arc<Group>,
    quiet: bool,
}

/// The end of a group: its members leave when all of them are quiet, and what they were bound to is closed at once, when
/// the last of them has left. If one were closed before the others, what waits in its queue would be reset.
#[derive(Debug)]
struct Group {
    /// Members that may still receive something.
    busy: BusyCount,
    all_quiet: CancellationToken,
    /// What those were bound to that have left, one each; dropped with the group.
    kept: Mutex<Vec<Bound>>,
    failures: LogLimiter,
    refusals: LogLimiter,
}

impl Member {
    /// So many members of one group, at least one.
    pub(crate) fn group(count: usize) -> Vec<Self> {
        let all_quiet = CancellationToken::new();
        let group = Arc::new(Group {
            busy: BusyCount::new(count),
            all_quiet,
            kept: Mutex::default(),
            failures: LogLimiter::default(),
            refusals: LogLimiter::default(),
        });
        (0..count).map(|_| Self { group: Arc::clone(&group), quiet: false }).collect()
    }

    /// Says whether anything comes to this member. The group ends when nothing comes to any.
    pub(crate) fn set_quiet(&mut self, quiet: bool) {
        match (std::mem::replace(&mut self.quiet, quiet), quiet) {
            (false, true) if self.group.busy.one_less() => self.group.all_quiet.cancel(),
            (true, false) => self.group.busy.one_more(),
            _ => {}
        }
    }

    /// Ready when nothing came to any member, once and for all. Cancel safe.
    pub(crate) fn all_quiet(&self) -> impl Future<Output = ()> + use<> {
        self.group.all_quiet.clone().cancelled_owned()
    }

    /// About accepts that fail.
    pub(crate) fn failures(&self) -> &LogLimiter {
        &self.group.failures
    }

    /// About connections that are refused.
    pub(crate) fn refusals(&self) -> &LogLimiter {
        &self.group.refusals
    }

    /// Keeps open what this member was bound to, until the last member has left.
    pub(crate) fn keep(&self, bound: Bound) {
        self.group.kept.lock().unwrap_or_else(PoisonError::into_inner).push(bound);
    }
}

/// A member that was dropped is quiet for good, for whatever reason: no other waits for it.
impl Drop for Member {
    fn drop(&mut self) {
        self.set_quiet(true);
    }
}

#[cfg(all(test, swapwire_loom))]
mod models;
#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_group_ends_when_all_are_quiet_at_once() {
        let mut members = Member::group(3);
        members[0].set_quiet(true);
        members[0].set_quiet(true);
        members[1].set_quiet(true);
        members[1].set_quiet(false);
        members[2].set_quiet(true);
        assert!(members[0].all_quiet().now_or_never().is_none());
        // One that is gone is quiet, and so stays.
        drop(members.remove(1));
        assert!(members.iter().all(|member| member.all_quiet().now_or_never().is_some()));
    }
}
