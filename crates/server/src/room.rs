//! The room for connections, and the place that each of them takes.

use std::sync::Arc;

use swapwire_core::{Incoming, Peer};

use crate::Limits;
use crate::ledger::Ledger;
use crate::share::Held;
use crate::source::{Shares, Source, Taken};
use crate::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The room for connections that all listeners and all workers of a server share.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    permits: Arc<Semaphore>,
    /// For connections that are not established yet.
    handshakes: Arc<Semaphore>,
    sources: Option<Arc<Shares>>,
    /// What they may keep in memory, if that is bounded for all together.
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// Told when a connection closes: descriptors are free again.
    pub(crate) closed: Arc<Notify>,
}

/// What a connection takes of the room, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    source: Option<Box<Taken>>,
    closed: Arc<Notify>,
    /// Counts it to a member's share, where shares matter.
    pub(crate) held: Option<Held>,
}

/// A connection with its place, and with one more while its handshake is not done.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) incoming: Incoming,
    pub(crate) place: Place,
    pub(crate) handshake: Option<OwnedSemaphorePermit>,
}

/// Why a connection gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its source has its share.
    Source,
    /// There is no room.
    Full,
}

impl Room {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limits.max_connections)),
            handshakes: Arc::new(Semaphore::new(limits.max_handshakes)),
            sources: limits.max_per_source.map(Shares::new),
            ledger: Ledger::new(limits),
            closed: Arc::new(Notify::new()),
        }
    }

    /// Whether one more connection would find room.
    pub(crate) fn is_free(&self) -> bool {
        self.permits.available_permits() > 0 && self.handshakes.available_permits() > 0
    }

    /// Ready when there was room. Keeps none, and does not look again: those who wait pass it on to one another. Cancel
    /// safe.
    pub(crate) async fn free(&self) {
        drop(self.permits.acquire().await);
        drop(self.handshakes.acquire().await);
    }

    /// A place for a connection of `peer`, once there is room. Cancel safe.
    ///
    /// # Errors
    /// Its source has its share: it gets none, however long it waits.
    pub(crate) async fn wait(&self, peer: &Peer) -> Result<(Place, Option<OwnedSemaphorePermit>), Refusal> {
        let source = self.source(peer)?;
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        let handshake = Arc::clone(&self.handshakes).acquire_owned().await.ok();
        Ok((self.place(permit, source), handshake))
    }

    /// A place for a connection of `peer`, if there is room now.
    ///
    /// # Errors
    /// There is none, or its source has its share.
    pub(crate) fn try_take(&self, peer: &Peer) -> Result<(Place, Option<OwnedSemaphorePermit>), Refusal> {
        let source = self.source(peer)?;
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Refusal::Full)?;
        let handshake = Arc::clone(&self.handshakes).try_acquire_owned().map_err(|_| Refusal::Full)?;
        Ok((self.place(Some(permit), source), Some(handshake)))
    }

    fn source(&self, peer: &Peer) -> Result<Option<Box<Taken>>, Refusal> {
        let Some(sources) = &self.sources else { return Ok(None) };
        let Some(source) = Source::of(peer.addr(), 32) else { return Ok(None) };
        sources.take(source).map(Some).ok_or(Refusal::Source)
    }

    fn place(&self, permit: Option<OwnedSemaphorePermit>, source: Option<Box<Taken>>) -> Place {
        Place { permit, source, closed: Arc::clone(&self.closed), held: None }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.permit.take();
        self.source.take();
        self.closed.notify_one();
    }
}

#[cfg(test)]
impl Arrival {
    /// One whose place is nobody's.
    pub(crate) fn for_test(incoming: Incoming) -> Self {
        let place = Place { permit: None, source: None, closed: Arc::default(), held: None };
        Self { incoming, place, handshake: None }
    }
}

#[cfg(all(test, swapwire_loom))]
mod models;
