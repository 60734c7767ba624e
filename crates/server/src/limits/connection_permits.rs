//! The permits that connections hold: so many for all listeners and all workers of a server.

use std::sync::Arc;
use std::task::Waker;

use swapwire_core::Peer;

use super::{HandshakePermit, Handshakes, Source, SourcePermit, SourceQuota};
use crate::Limits;
use crate::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// What all listeners and all workers of a server share.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionPermits {
    connections: Arc<Semaphore>,
    /// For connections whose handshake waits for the peer.
    handshakes: Arc<Handshakes>,
    sources: Option<Arc<SourceQuota>>,
    /// Notified when a connection closes: descriptors are free again.
    pub(crate) closed: Arc<Notify>,
}

/// What a connection holds until it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    permit: Option<OwnedSemaphorePermit>,
    source: Option<Box<SourcePermit>>,
    closed: Arc<Notify>,
}

/// Why a connection gets no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its source holds as many as it may.
    Source,
    /// There is none left.
    Full,
}

impl ConnectionPermits {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(limits.max_connections)),
            handshakes: Handshakes::new(limits.max_handshakes.min(limits.max_connections / 2)),
            sources: limits.max_per_source.map(SourceQuota::new),
            closed: Arc::new(Notify::new()),
        }
    }

    /// Those of a listener: if it has a limit of its own for each source, it counts its connections alone.
    pub(crate) fn of_listener(&self, limits: &Limits, of_the_server: &Limits) -> Self {
        let mut permits = self.clone();
        if limits.max_per_source != of_the_server.max_per_source {
            permits.sources = limits.max_per_source.map(SourceQuota::new);
        }
        permits
    }

    /// Whether one more connection would get one.
    pub(crate) fn is_free(&self) -> bool {
        self.connections.available_permits() > 0
    }

    /// Ready when one was free. Takes none, and does not look again: the tasks that wait pass it on to one another. Cancel
    /// safe.
    pub(crate) async fn free(&self) {
        drop(self.connections.acquire().await);
    }

    /// A permit for a connection of `peer`, if the peer is known before the handshake, once one is free. Cancel safe.
    ///
    /// # Errors
    /// Its source holds as many as it may: it gets none, however long it waits.
    pub(crate) async fn wait(&self, peer: Option<&Peer>) -> Result<ConnectionPermit, Refusal> {
        let source = peer.map_or(Ok(None), |peer| self.source(peer))?;
        let permit = Arc::clone(&self.connections).acquire_owned().await.ok();
        Ok(self.permit(permit, source))
    }

    /// The same, if one is free now.
    ///
    /// # Errors
    /// There is none, or its source holds as many as it may.
    pub(crate) fn try_take(&self, peer: Option<&Peer>) -> Result<ConnectionPermit, Refusal> {
        let source = peer.map_or(Ok(None), |peer| self.source(peer))?;
        let permit = Arc::clone(&self.connections).try_acquire_owned().map_err(|_| Refusal::Full)?;
        Ok(self.permit(Some(permit), source))
    }

    /// For a handshake that waits for its peer.
    pub(crate) fn handshake(&self, waker: &Waker) -> HandshakePermit {
        self.handshakes.begin(waker)
    }

    /// A permit of the source of `peer`, if it is limited.
    ///
    /// # Errors
    /// It holds as many as it may.
    pub(crate) fn source(&self, peer: &Peer) -> Result<Option<Box<SourcePermit>>, Refusal> {
        let Some(sources) = &self.sources else { return Ok(None) };
        let Some(source) = Source::of(peer.addr(), 32) else { return Ok(None) };
        sources.take(source).map(Some).ok_or(Refusal::Source)
    }

    fn permit(&self, permit: Option<OwnedSemaphorePermit>, source: Option<Box<SourcePermit>>) -> ConnectionPermit {
        ConnectionPermit { permit, source, closed: Arc::clone(&self.closed) }
    }
}

impl ConnectionPermit {
    /// Holds the permit of a source, too.
    pub(crate) fn add(&mut self, source: Option<Box<SourcePermit>>) {
        if source.is_some() {
            self.source = source;
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.permit.take();
        self.source.take();
        self.closed.notify_one();
    }
}

#[cfg(all(test, swapwire_loom))]
mod models;
