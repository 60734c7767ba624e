//! What every faulty wire has: its faults, its dice, and whom to tell.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use swapwire_core::{Addr, ConnInfo, Side};

use super::{FaultEvent, FaultKind, Faults};
use crate::Dice;
use crate::payload::splitmix;

type Watcher = Box<dyn Fn(&FaultEvent) + Send + Sync>;

/// What all wires of one transport share.
pub(super) struct Shared {
    faults: Faults,
    seed: u64,
    /// Wires so far: each has dice of its own, so that what happens on one does not depend on the others.
    wires: AtomicU64,
    pub(super) calm: AtomicBool,
    watcher: Option<Watcher>,
    /// Behind a lock, so that the watcher hears one event at a time.
    telling: Mutex<()>,
}

impl Shared {
    pub(super) fn new(faults: Faults, seed: u64, watcher: Option<Watcher>) -> Self {
        let (wires, calm) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { faults, seed, wires, calm, watcher, telling: Mutex::new(()) }
    }

    /// The same from the beginning, with a watcher.
    pub(super) fn again(&self, watcher: Watcher) -> Self {
        Self::new(self.faults.clone(), self.seed, Some(watcher))
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(super) fn wire(self: &Arc<Self>, side: Side, local: Option<Addr>, peer: Option<Addr>) -> Wire {
        let mut state = self.seed ^ self.wires.fetch_add(1, Relaxed).wrapping_mul(0xff51_afd7_ed55_8ccd);
        Wire { shared: Arc::clone(self), dice: Dice::new(splitmix(&mut state)), side, local, peer }
    }

    pub(super) fn link(self: &Arc<Self>, side: Side, info: &ConnInfo) -> Wire {
        self.wire(side, Some(info.local), Some(*info.peer.addr()))
    }
}

/// One wire, or one direction of it.
pub(super) struct Wire {
    shared: Arc<Shared>,
    pub(super) dice: Dice,
    side: Side,
    local: Option<Addr>,
    peer: Option<Addr>,
}

impl Wire {
    /// The same wire with other dice.
    pub(super) fn fork(&mut self) -> Self {
        let (shared, dice) = (Arc::clone(&self.shared), self.dice.fork());
        Self { shared, dice, side: self.side, local: self.local, peer: self.peer }
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Whether the fault with this chance happens now.
    pub(super) fn happens(&mut self, chance: impl Fn(&Faults) -> f64) -> bool {
        !self.is_calm() && self.dice.chance(chance(&self.shared.faults))
    }

    pub(super) fn is_calm(&self) -> bool {
        self.shared.calm.load(Relaxed)
    }

    pub(super) fn tell(&self, kind: FaultKind) {
        self.tell_of(self.peer, kind);
    }

    pub(super) fn tell_of(&self, peer: Option<Addr>, kind: FaultKind) {
        if let Some(watcher) = &self.shared.watcher {
            let _one = self.shared.telling.lock().unwrap_or_else(PoisonError::into_inner);
            watcher(&FaultEvent { side: self.side, local: self.local, peer, kind });
        }
    }
}
