//! What the loops of one endpoint share.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};

use swapwire_core::{Addr, Capabilities, Endpoint, Framing, Peer, SessionConfig};
use tokio_util::sync::CancellationToken;

use crate::drain::{Drain, SocketControlSlot};
use crate::memory::{BufferPool, MemoryBudget};
use crate::metrics::{Incident, IncidentLog, ListenerStats, LogLimiter, Stats, WorkerLoad};
use crate::sync::{AtomicU64, Mutex, Ordering::Relaxed};
use crate::time::TimerWheel;
use crate::{Limits, SessionEnd};

/// What a [`Service`](crate::Service) needs to serve one endpoint: bounds, framing, counters, and word of the drain.
#[derive(Clone, Debug)]
pub struct ServeContext {
    pub(crate) endpoint: Endpoint,
    /// Its address, where the endpoint says it.
    pub(crate) bound: Option<Addr>,
    pub(crate) capabilities: Capabilities,
    pub(crate) framing: Framing,
    pub(crate) limits: Arc<Limits>,
    /// Of all workers.
    pub(crate) listener: Arc<ListenerStats>,
    /// Of this listener on this worker.
    pub(crate) stats: Arc<Stats>,
    /// Of this worker.
    pub(crate) load: Arc<WorkerLoad>,
    pub(crate) incidents: IncidentLog,
    pub(crate) drain: Drain,
    /// Told at the drain deadline.
    pub(crate) abort: CancellationToken,
    /// The time, and the deadlines of sessions.
    pub(crate) timers: Arc<TimerWheel>,
    pub(crate) buffers: BufferPool,
    /// What all connections of the server keep, if that is bounded.
    pub(crate) memory_budget: Option<Arc<MemoryBudget>>,
    pub(crate) ours: Arc<OwnAddresses>,
    /// For the loop of a datagram socket.
    pub(crate) control: SocketControlSlot,
}

/// The addresses of all datagram sockets of a server, which change while it runs.
#[derive(Debug, Default)]
pub(crate) struct OwnAddresses {
    /// A bit for the remainder of each of their ports: a port with none of them is not ours.
    ports: AtomicU64,
    all: Mutex<Vec<SocketAddr>>,
}

impl OwnAddresses {
    pub(crate) fn set(&self, all: Vec<SocketAddr>) {
        let ports = all.iter().fold(0, |ports, addr| ports | bit(addr.port()));
        *self.all.lock().unwrap_or_else(PoisonError::into_inner) = all;
        self.ports.store(ports, Relaxed);
    }

    /// Whether one of them may have this port.
    #[inline(always)]
    pub(crate) fn may_have(&self, port: u16) -> bool {
        self.ports.load(Relaxed) & bit(port) != 0
    }

    /// Whether one of them satisfies `is`.
    pub(crate) fn any(&self, is: impl FnMut(&SocketAddr) -> bool) -> bool {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).iter().any(is)
    }
}

const fn bit(port: u16) -> u64 {
    1 << (port % 64)
}

impl ServeContext {
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

    /// Counts and logs a message of `len` bytes, which is above the limit.
    #[cold]
    pub(crate) fn too_long(&self, len: usize, peer: Option<&Addr>) {
        let most = self.limits.max_message;
        self.incidents.note(Incident::TooLong, 1, peer, format_args!("{len} bytes, {most} allowed"));
    }

    /// Logs the end of a session because of its peer, unless that is logged where it is found.
    pub(crate) fn tell_end(&self, end: SessionEnd, peer: &Peer) {
        match (end, &self.memory_budget) {
            (SessionEnd::FrameTimeout, _) => self.incidents.tell(Incident::FrameTimeout, Some(peer.addr()), ""),
            (SessionEnd::WriteTimeout, _) => self.incidents.tell(Incident::WriteTimeout, Some(peer.addr()), ""),
            (SessionEnd::OverBudget, Some(budget)) => budget.log_closed(&self.incidents, peer),
            _ => {}
        }
    }

    /// Drives the clock of the sessions; counts and logs when its thread was held up.
    pub(crate) async fn drive_clock(&self) -> Infallible {
        let limiter = LogLimiter::default();
        let held_up = |late| {
            Stats::one(&self.stats.worker_late);
            if limiter.is_due() {
                let endpoint = &self.endpoint;
                tracing::warn!(%endpoint, ?late, "a call blocked its thread, or the machine is too busy");
            }
        };
        self.timers.run(&self.drain.token, held_up).await
    }

    pub(crate) fn session_config(&self) -> SessionConfig {
        let mut config = SessionConfig::framed(self.framing.clone());
        config.max_message = self.limits.max_message;
        config.out_queue = self.limits.out_queue;
        config.max_reply = self.limits.max_reply;
        config.draining = Some(self.drain.sessions.clone());
        config
    }
}

/// Held by a session while it is served: when it panics, the log line names its peer.
#[derive(Debug)]
pub(crate) struct PanicContext<'a> {
    pub(crate) cx: &'a ServeContext,
    pub(crate) peer: &'a Peer,
}

impl Drop for PanicContext<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.cx.incidents.set_panicked(*self.peer.addr());
        }
    }
}

#[cfg(test)]
impl ServeContext {
    /// Of a byte stream that is not served.
    #[allow(clippy::expect_used, reason = "a test")]
    pub(crate) fn for_test() -> Self {
        let limits = Arc::new(Limits::default());
        let (endpoint, stats): (Endpoint, Arc<_>) = ("mem:here".parse().expect("an endpoint"), Arc::default());
        ServeContext {
            bound: None,
            capabilities: Capabilities::byte_stream(),
            framing: Framing::Lines,
            timers: Arc::new(TimerWheel::new(&limits)),
            buffers: BufferPool::new(Framing::Lines, limits.max_reply),
            limits,
            incidents: IncidentLog::new(endpoint.clone(), Arc::clone(&stats), Arc::default()),
            endpoint,
            stats,
            listener: Arc::default(),
            load: Arc::default(),
            drain: Drain::default(),
            abort: CancellationToken::default(),
            memory_budget: None,
            ours: Arc::default(),
            control: SocketControlSlot::default(),
        }
    }
}
