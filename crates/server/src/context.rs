//! What the loops of one endpoint share.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use swapwire_core::{Addr, Capabilities, DrainToken, Endpoint, Framing, SessionConfig};
use tokio_util::sync::CancellationToken;

use crate::Limits;
use crate::keeper::Keeper;
use crate::ledger::Ledger;
use crate::scratch::Lending;
use crate::second_look::over;
use crate::stats::Stats;
use crate::sync::{self, AtomicBool, WaitForCancellationFutureOwned};
use crate::troubles::Troubles;

/// What a [`Service`](crate::Service) needs to serve one endpoint: bounds, framing, counters, and word of the drain.
#[derive(Clone, Debug)]
pub struct ServeContext {
    pub(crate) endpoint: Endpoint,
    /// Its address, where the endpoint says it.
    pub(crate) bound: Option<Addr>,
    pub(crate) capabilities: Capabilities,
    pub(crate) framing: Framing,
    pub(crate) limits: Arc<Limits>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) troubles: Arc<Troubles>,
    pub(crate) drain: Drain,
    /// Told at the drain deadline.
    pub(crate) abort: CancellationToken,
    /// The time and the deadlines of message handlers' sessions on byte streams.
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) lending: Lending,
    /// What all connections of the server keep, if that is bounded.
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// The addresses of all datagram sockets of this server.
    pub(crate) ours: Arc<[SocketAddr]>,
    /// Tells it from all others of this process.
    pub(crate) id: u64,
}

impl ServeContext {
    pub(crate) fn fresh_id() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Relaxed)
    }

    /// The endpoint that is served, as it was really bound.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What its wires can do.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// How its byte streams are cut into messages, and whether messages of other wires lose the [ends of
    /// lines](Framing::Lines).
    pub fn framing(&self) -> &Framing {
        &self.framing
    }

    /// Whether messages lose the ends of lines on wires with boundaries.
    pub(crate) fn has_lines(&self) -> bool {
        matches!(self.framing, Framing::Lines)
    }

    /// The bounds and deadlines.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Resolves when the server drains.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        self.drain.token.clone().cancelled_owned()
    }

    pub(crate) fn session_config(&self) -> SessionConfig {
        let mut config = SessionConfig::framed(self.framing.clone());
        config.max_message = self.limits.max_message;
        config.out_queue = self.limits.out_queue;
        config.draining = Some(self.drain.sessions.clone());
        config
    }
}

/// When a drain finds nothing to do, what the reactor has not yet reported may still be waiting in the system: it gets this
/// long to say so.
pub(crate) const QUIET: Duration = Duration::from_millis(10);

/// Word of the drain: a token for those who wait, a flag for those who look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    pub(crate) token: sync::CancellationToken,
    /// Told a little later, so that a session first receives what was already waiting in the system.
    pub(crate) sessions: DrainToken,
    flag: Arc<Flag>,
}

/// On a line of memory of its own: it is read with every message, and what lies beside it is another worker's.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Flag(AtomicBool);

impl Drain {
    pub(crate) fn begin(&self) {
        self.flag.0.store(true, Relaxed);
        self.token.cancel();
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.flag.0.load(Relaxed)
    }

    pub(crate) fn watch(&self) -> DrainWatch {
        let wait = Box::pin(self.token.clone().cancelled_owned());
        DrainWatch { flag: Arc::clone(&self.flag), wait, registered: false }
    }
}

/// Lets one task wait for the drain without asking the token at every wait.
pub(crate) struct DrainWatch {
    flag: Arc<Flag>,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Polled once: that is enough, because the task's waker stays the same.
    registered: bool,
}

impl DrainWatch {
    /// Whether the drain has begun; if not, the task is woken when it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.registered {
            self.registered = true;
            return self.wait.as_mut().poll(cx).is_ready();
        }
        self.flag.0.load(Relaxed)
    }
}

/// Ready once a drain has been quiet long enough to stop receiving.
#[derive(Default)]
pub(crate) enum LastCall {
    #[default]
    ToCome,
    Now(Pin<Box<dyn Future<Output = ()> + Send>>),
    Over,
}

impl LastCall {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, stats: &Arc<Stats>) -> Poll<()> {
        if matches!(self, Self::ToCome) {
            let stats = Arc::clone(stats);
            *self = Self::Now(Box::pin(async move { over(QUIET, &stats).await }));
        }
        if let Self::Now(quiet) = self {
            ready!(quiet.as_mut().poll(cx));
            *self = Self::Over;
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
impl ServeContext {
    /// Of a byte stream that nobody serves.
    #[allow(clippy::expect_used, reason = "a test")]
    pub(crate) fn for_test() -> Self {
        let limits = Arc::new(Limits::default());
        ServeContext {
            endpoint: "mem:here".parse().expect("an endpoint"),
            bound: None,
            capabilities: Capabilities::byte_stream(),
            framing: Framing::Lines,
            keeper: Arc::new(Keeper::new(&limits)),
            limits,
            stats: Arc::default(),
            troubles: Arc::default(),
            drain: Drain::default(),
            abort: Default::default(),
            lending: Default::default(),
            ledger: None,
            ours: Arc::from([]),
            id: ServeContext::fresh_id(),
        }
    }
}

#[cfg(all(test, swapwire_loom))]
mod models;
