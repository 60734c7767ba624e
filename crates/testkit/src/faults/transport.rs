//! The transport itself.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, Link, OptionDoc, Shape, Side, Transport, async_trait,
};

use super::listener::{FaultyListener, link};
use super::socket::FaultySocket;
use super::wire::Shared;
use super::{FaultEvent, Faults};

/// A transport with faults: whatever is bound and connected through it has them, as a seed decides.
///
/// Put it around the transport of a server, of its clients, or of both, each with faults of its own. Each wire has dice of
/// its own, in the order in which wires were made; on a runtime of one thread with a paused clock, equal seeds do the same.
/// It needs a tokio runtime with a clock.
///
/// Bounds: 64 KiB, 64 messages, or 256 datagrams of a wire are on their way, besides what the wire itself holds. Nothing
/// is kept of what is written.
///
/// ```
/// use std::time::Duration;
///
/// use swapwire_core::{Bound, Registry, Session, SessionConfig};
/// use swapwire_mem::MemNetwork;
/// use swapwire_testkit::{Faults, Faulty};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut faults = Faults::rough();
/// faults.slice = 3;
/// let network = Faulty::new(MemNetwork::new(), faults, 42).watched(|event| println!("{event:?}"));
/// let registry = Registry::new().with(network);
///
/// let Bound::Listener(mut listener) = registry.bind(&"mem:here".parse()?).await? else { unreachable!() };
/// let mut client = Session::new(registry.connect(&listener.local()).await?, SessionConfig::default());
/// let mut server = Session::new(listener.accept().await?.establish().await?, SessionConfig::default());
/// client.send("hello").await?;
/// client.flush().await?;
/// assert!(server.recv().await?.unwrap().len() <= 3);
/// # Ok(())
/// # }
/// ```
pub struct Faulty<T> {
    io: T,
    shared: Arc<Shared>,
}

impl<T> Faulty<T> {
    /// `transport` with `faults`, as `seed` decides.
    pub fn new(transport: T, faults: Faults, seed: u64) -> Self {
        Self { io: transport, shared: Arc::new(Shared::new(faults, seed, None)) }
    }

    /// Tells `watcher` what passes, and each fault when it happens: one at a time, and it must not wait. To be called before
    /// anything is bound, connected or [switched](Self::switch).
    #[must_use]
    pub fn watched(self, watcher: impl Fn(&FaultEvent) + Send + Sync + 'static) -> Self {
        let shared = self.shared.again(Box::new(watcher));
        Self { shared: Arc::new(shared), ..self }
    }

    /// What switches the faults off.
    pub fn switch(&self) -> FaultSwitch {
        FaultSwitch(Arc::clone(&self.shared))
    }
}

/// Switches the faults of a [`Faulty`] transport off.
#[derive(Clone)]
pub struct FaultSwitch(Arc<Shared>);

impl FaultSwitch {
    /// No more faults from now on, on wires that there are and on new ones; what is late already stays so. For a look at
    /// whether all is well when the weather is.
    pub fn calm(&self) {
        self.0.calm.store(true, Relaxed);
    }
}

#[async_trait]
impl<T: Transport> Transport for Faulty<T> {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        self.io.schemes()
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        let mut capabilities = self.io.capabilities(scheme);
        let faults = self.shared.faults();
        if capabilities.shape == Shape::Datagram {
            capabilities.reliable &= faults.loss == 0.0;
            capabilities.ordered &= !faults.reordering;
        }
        capabilities
    }

    fn options(&self, scheme: &str) -> &[OptionDoc] {
        self.io.options(scheme)
    }

    async fn check(&self, endpoint: &Endpoint) -> Result<(), BindError> {
        self.io.check(endpoint).await
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Ok(self.wrap(self.io.bind(endpoint).await?))
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        Ok(self.io.bind_group(endpoint, members).await?.into_iter().map(|bound| self.wrap(bound)).collect())
    }

    async fn bind_all(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        let wrap = |group: Vec<Bound>| group.into_iter().map(|bound| self.wrap(bound)).collect();
        Ok(self.io.bind_all(endpoint, members).await?.into_iter().map(wrap).collect())
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let loose = self.io.capabilities(endpoint.scheme()).shape == Shape::Datagram;
        Ok(link(self.io.connect(endpoint).await?, Side::Connect, &self.shared, loose))
    }

    #[cfg(unix)]
    fn adopts(&self, socket: std::os::fd::BorrowedFd<'_>) -> Option<Cow<'static, str>> {
        self.io.adopts(socket)
    }

    #[cfg(unix)]
    fn adopt(
        &self,
        endpoint: &Endpoint,
        socket: std::os::fd::OwnedFd,
        members: usize,
    ) -> Result<Vec<Bound>, BindError> {
        Ok(self.io.adopt(endpoint, socket, members)?.into_iter().map(|bound| self.wrap(bound)).collect())
    }
}

impl<T: Transport> Faulty<T> {
    fn wrap(&self, bound: Bound) -> Bound {
        match bound {
            Bound::Listener(io) => Bound::Listener(Box::new(FaultyListener::new(io, Arc::clone(&self.shared)))),
            Bound::Socket(io) => {
                let wire = self.shared.wire(Side::Bind, io.local_addr(), None);
                Bound::Socket(Box::new(FaultySocket::new(io, wire)))
            }
            other => other,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Faulty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("transport", &self.io).field("faults", self.shared.faults()).finish()
    }
}

impl fmt::Debug for FaultSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultSwitch").field("is_calm", &self.0.calm.load(Relaxed)).finish()
    }
}
