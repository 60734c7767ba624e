//! Accepting, layer by layer.

use std::io;
use std::sync::Arc;

use swapwire_core::{
    BindError, Bound, Endpoint, ErrorClass, Incoming, Link, Listener, UpgradeServer, Upkeep, async_trait,
};

use crate::stacked::no_bytes;

/// What all members of all groups of an endpoint share.
pub(crate) struct Halves {
    /// Of the whole stack.
    pub(crate) scheme: String,
    /// With their names, the lowest first.
    pub(crate) servers: Vec<(&'static str, Arc<dyn UpgradeServer>)>,
}

impl Halves {
    /// The handshakes, one on top of the other.
    async fn accept(self: Arc<Self>, below: Incoming) -> io::Result<Link> {
        let mut link = below.establish().await?;
        for (layer, server) in &self.servers {
            let Link::Bytes { io, info } = link else { return Err(io::Error::other(no_bytes(layer))) };
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{layer}: {error}"));
            link = server.accept(io, info).await.map_err(named)?;
        }
        Ok(link)
    }
}

/// What is left below a stack that was taken apart.
struct TakenListener(Endpoint);

#[async_trait]
impl Listener for TakenListener {
    fn local(&self) -> Endpoint {
        self.0.clone()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        std::future::pending().await
    }
}

pub(crate) struct StackedListener {
    below: Box<dyn Listener>,
    halves: Arc<Halves>,
}

impl StackedListener {
    pub(crate) fn over(below: Box<dyn Listener>, halves: &Arc<Halves>) -> Box<dyn Listener> {
        Box::new(Self { below, halves: Arc::clone(halves) })
    }

    pub(crate) fn around(bound: Bound, halves: &Arc<Halves>, endpoint: &Endpoint) -> Result<Bound, BindError> {
        match bound {
            Bound::Listener(below) => Ok(Bound::Listener(Self::over(below, halves))),
            _ => Err(BindError::invalid(endpoint, no_bytes(&halves.scheme))),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Listener for StackedListener {
    fn local(&self) -> Endpoint {
        self.below.local().with_scheme(&*self.halves.scheme)
    }

    fn dial(&self) -> Endpoint {
        let options = self.halves.servers.iter().rev().flat_map(|(_, server)| server.dial_options());
        let dial = self.below.dial().with_scheme(&*self.halves.scheme);
        options.fold(dial, |dial, (name, value)| dial.with_option(name, value))
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let below = self.below.accept().await?;
        let peer = below.peer().clone();
        let renames = below.renames() || self.halves.servers.iter().any(|(_, server)| server.renames(&peer));
        let incoming = Incoming::pending(peer, Arc::clone(&self.halves).accept(below));
        Ok(if renames { incoming.renaming() } else { incoming })
    }

    fn refuse_arrivals(&mut self) -> io::Result<()> {
        self.below.refuse_arrivals()
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        let servers = self.halves.servers.iter().filter_map(|(_, server)| server.upkeep());
        self.below.upkeep().into_iter().chain(servers).reduce(Upkeep::and)
    }

    fn reloads(&self) -> bool {
        self.below.reloads() || self.halves.servers.iter().any(|(_, server)| server.reloads())
    }

    fn reload(&mut self) {
        if self.below.reloads() {
            self.below.reload();
        }
        self.halves.servers.iter().filter(|(_, server)| server.reloads()).for_each(|(_, server)| server.reload());
    }

    fn unstack(&mut self) -> Option<Box<dyn Listener>> {
        let nothing = Box::new(TakenListener(self.below.local()));
        Some(std::mem::replace(&mut self.below, nothing))
    }

    fn classify(&self, error: &io::Error) -> ErrorClass {
        self.below.classify(error)
    }

    fn shares_queue(&self) -> bool {
        self.below.shares_queue()
    }
}
