//! The names that are bound.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swapwire_core::Link;
use tokio::sync::mpsc;

use crate::datagram::Inbox;
use crate::names::Name;

#[derive(Default)]
pub(crate) struct Hub {
    bound: Mutex<HashMap<Name, Held>>,
    clients: AtomicU64,
}

/// What is behind a name.
pub(crate) enum Held {
    Listener(mpsc::Sender<Link>),
    Inbox(Inbox),
}

impl Hub {
    fn bound(&self) -> MutexGuard<'_, HashMap<Name, Held>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `name`; `None` if it is taken.
    pub(crate) fn take(self: &Arc<Self>, name: Name, held: Held) -> Option<Claim> {
        match self.bound().entry(name) {
            Entry::Occupied(_) => None,
            Entry::Vacant(entry) => {
                entry.insert(held);
                Some(Claim { hub: Arc::clone(self), name })
            }
        }
    }

    /// The inbox of the datagram socket `name`.
    pub(crate) fn inbox(&self, name: Name) -> Option<Inbox> {
        match self.bound().get(&name) {
            Some(Held::Inbox(inbox)) => Some(inbox.clone()),
            _ => None,
        }
    }

    /// The queue of the listener `name`.
    pub(crate) fn listener(&self, name: Name) -> Option<mpsc::Sender<Link>> {
        match self.bound().get(&name) {
            Some(Held::Listener(queue)) => Some(queue.clone()),
            _ => None,
        }
    }

    /// A name that no client had before.
    pub(crate) fn client(&self, scheme: &'static str) -> Name {
        Name::client(scheme, self.clients.fetch_add(1, Relaxed) + 1)
    }
}

/// A name that is held; dropping it frees the name.
pub(crate) struct Claim {
    pub(crate) hub: Arc<Hub>,
    pub(crate) name: Name,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Dropped after the lock is free: dropping it wakes the task that receives.
        let held = self.hub.bound().remove(&self.name);
        drop(held);
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.bound().keys().map(|name| name.addr().to_string()).collect();
        names.sort_unstable();
        f.debug_set().entries(names).finish()
    }
}
