//! Which listener goes on where another is bound.

use std::sync::Arc;

use swapwire_core::{Endpoint, Shape};

use super::roster::{Listening, Place};
use crate::compose::Planned;
use crate::drain::Succession;

/// For each that is planned, which of `before` has bound what it needs: first the one that is called the same.
pub(super) fn matching(planned: &[Planned], before: &[Arc<Listening>]) -> Vec<Option<usize>> {
    let (mut found, mut taken) = (vec![None; planned.len()], vec![false; before.len()]);
    for by_name in [true, false] {
        for (planned, found) in planned.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            *found = before.iter().zip(&taken).position(|(listening, taken)| {
                let is_called_so = !by_name || listening.planned.name == planned.name;
                !taken && is_called_so && listening.has_bound(&planned.base)
            });
            if let Some(index) = *found {
                taken[index] = true;
            }
        }
    }
    found
}

impl Listening {
    /// Whether `base` is where it is bound, as it was written or as it really is, and goes on.
    fn has_bound(&self, base: &Endpoint) -> bool {
        let base = base.clone().without_query();
        let is_written = base == self.planned.base.clone().without_query();
        let is_real = matches!(&*self.places, [only] if only.base.local.clone().without_query() == base);
        (is_written || is_real) && self.places.iter().all(Place::is_served)
    }

    /// Whether `planned` is what it is.
    pub(super) fn is_same(&self, planned: &Planned) -> bool {
        let Planned { name, endpoint, service, framing, limits, .. } = planned;
        // Two registries may differ in what they put around the listener.
        if planned.is_own_transport || self.planned.is_own_transport {
            return false;
        }
        let is_named_so = *name == self.planned.name && *endpoint == self.planned.endpoint;
        let is_served_so = std::ptr::addr_eq(Arc::as_ptr(service), Arc::as_ptr(&self.planned.service));
        is_named_so && is_served_so && *framing == self.planned.framing && *limits == self.planned.limits
    }

    /// Why what it has bound cannot go on as `planned`.
    pub(super) fn obstacle(&self, planned: &Planned) -> Option<String> {
        let (old, new) = (self.planned.base.options(), planned.base.options());
        let changed =
            old.iter().filter(|option| !new.contains(option)).chain(new.iter().filter(|option| !old.contains(option)));
        let mut changed: Vec<_> = changed.map(|(name, _)| name.as_str()).collect();
        changed.dedup();
        if !changed.is_empty() {
            return Some(format!("{} cannot change where it is bound", changed.join(", ")));
        }
        let keeps = self.is_datagram() && self.planned.service.succession() == Succession::None;
        keeps.then(|| "its handler has a loop of its own, which keeps the socket".to_owned())
    }

    pub(super) fn is_datagram(&self) -> bool {
        self.planned.capabilities.shape == Shape::Datagram
    }
}
