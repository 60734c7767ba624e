//! What is below a stack, where a law watches it or does something to it.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, ErrorClass, Incoming, Link, Listener, OptionDoc, Registry,
    Side, Transport, Upkeep, WireLayers, async_trait,
};

use crate::{Context, Stop};

/// What becomes of a link of the wire below, on which side.
type Tap = Arc<dyn Fn(Side, Link) -> Link + Send + Sync>;

/// What was asked of the wire below, whose listeners answer what no wire answers by default.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    /// How many members a group was to have.
    pub(crate) group: AtomicUsize,
    /// How many each group of all places was to have.
    pub(crate) all: AtomicUsize,
    /// Whether it was to reload.
    pub(crate) reloaded: AtomicBool,
    /// Whether arrivals were to be refused.
    pub(crate) refused: AtomicBool,
}

impl Probe {
    /// The meaning of all errors.
    pub(crate) const CLASS: ErrorClass = ErrorClass::Configuration;
    /// What is new of a place.
    pub(crate) const NEWS: &str = "the wire below has news";
}

impl Context {
    /// The scheme of the wire below; skips the law unless the registry makes a stack of the scheme under test.
    pub(crate) fn below(&self) -> Result<String, Stop> {
        let fresh = self.fresh();
        let scheme = fresh.scheme();
        let made = self.registry().schemes().all(|(known, _)| known != scheme);
        match scheme.rsplit_once('+') {
            Some((_, base)) if made => Ok(base.to_owned()),
            _ => Err(Stop::skipped("for stacks that a registry makes of a scheme")),
        }
    }

    /// The same registry, where every link of the wire below goes through `tap`.
    pub(crate) fn tapped(&self, tap: impl Fn(Side, Link) -> Link + Send + Sync + 'static) -> Result<Registry, Stop> {
        self.with_below(Arc::new(tap), None)
    }

    /// The same registry, where the wire below is watched.
    pub(crate) fn probed(&self) -> Result<(Registry, Arc<Probe>), Stop> {
        let probe = Arc::default();
        Ok((self.with_below(Arc::new(|_, link| link), Some(Arc::clone(&probe)))?, probe))
    }

    fn with_below(&self, tap: Tap, probe: Option<Arc<Probe>>) -> Result<Registry, Stop> {
        let scheme = self.below()?;
        let transport = self.transport(&self.fresh().without_options().with_scheme(&*scheme))?;
        Ok(self.registry().clone().with(Tapped { scheme, transport, tap, probe }))
    }
}

struct Tapped {
    scheme: String,
    transport: Arc<dyn Transport>,
    tap: Tap,
    probe: Option<Arc<Probe>>,
}

impl Tapped {
    fn wrap(&self, bound: Bound) -> Bound {
        match bound {
            Bound::Listener(io) => {
                let (tap, probe) = (Arc::clone(&self.tap), self.probe.clone());
                Bound::Listener(Box::new(TappedListener { io, tap, probe }))
            }
            other => other,
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Transport for Tapped {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec![self.scheme.clone().into()]
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        self.transport.capabilities(scheme)
    }

    fn options(&self, scheme: &str) -> &[OptionDoc] {
        self.transport.options(scheme)
    }

    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        self.transport.check(endpoint).await
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Ok(self.wrap(self.transport.bind(endpoint).await?))
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        if let Some(probe) = &self.probe {
            probe.group.store(members, Relaxed);
        }
        let group = self.transport.bind_group(endpoint, members).await?;
        Ok(group.into_iter().map(|bound| self.wrap(bound)).collect())
    }

    async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        if let Some(probe) = &self.probe {
            probe.all.store(members, Relaxed);
        }
        let groups = self.transport.bind_all(endpoint, members).await?;
        let wrap = |group: Vec<Bound>| group.into_iter().map(|bound| self.wrap(bound)).collect();
        Ok(groups.into_iter().map(wrap).collect())
    }

    fn base(&self, endpoint: &Endpoint) -> Endpoint {
        endpoint.clone()
    }

    async fn layers(&self, _: &Endpoint) -> Result<WireLayers, BindError> {
        Ok(WireLayers::none())
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        Ok((self.tap)(Side::Connect, self.transport.connect(endpoint).await?))
    }

    #[cfg(unix)]
    fn adopts(&self, socket: std::os::fd::BorrowedFd<'_>) -> Option<Cow<'static, str>> {
        self.transport.adopts(socket)
    }

    #[cfg(unix)]
    fn adopt(
        &self,
        endpoint: &Endpoint,
        socket: std::os::fd::OwnedFd,
        members: usize,
    ) -> Result<Vec<Bound>, BindError> {
        let group = self.transport.adopt(endpoint, socket, members)?;
        Ok(group.into_iter().map(|bound| self.wrap(bound)).collect())
    }
}

struct TappedListener {
    io: Box<dyn Listener>,
    tap: Tap,
    probe: Option<Arc<Probe>>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Listener for TappedListener {
    fn local(&self) -> Endpoint {
        self.io.local()
    }

    fn dial(&self) -> Endpoint {
        self.io.dial()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let incoming = self.io.accept().await?;
        let (peer, tap) = (incoming.peer().clone(), Arc::clone(&self.tap));
        Ok(Incoming::pending(peer, async move { Ok(tap(Side::Bind, incoming.establish().await?)) }))
    }

    fn refuse_arrivals(&mut self) -> io::Result<()> {
        if let Some(probe) = &self.probe {
            probe.refused.store(true, Relaxed);
        }
        self.io.refuse_arrivals()
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        let found = self.io.upkeep();
        let news = self.probe.as_ref().map(|_| Upkeep::changed(true, Probe::NEWS));
        found.into_iter().chain(news).reduce(Upkeep::and)
    }

    fn reloads(&self) -> bool {
        self.io.reloads() | self.probe.is_some()
    }

    fn reload(&mut self) {
        if let Some(probe) = &self.probe {
            probe.reloaded.store(true, Relaxed);
        }
        self.io.reload();
    }

    fn unstack(&mut self) -> Option<Box<dyn Listener>> {
        None
    }

    fn classify(&self, error: &io::Error) -> ErrorClass {
        if self.probe.is_some() { Probe::CLASS } else { self.io.classify(error) }
    }

    fn shares_queue(&self) -> bool {
        self.io.shares_queue() | self.probe.is_some()
    }
}
