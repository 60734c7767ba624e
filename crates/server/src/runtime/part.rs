//! One member of what is bound at a place, with the loop that serves it.

use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use swapwire_core::{Addr, Bound, Capabilities, Endpoint, Framing, Listener, WireLayers};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::handle::ServerHandle;
use crate::accept::{AcceptBalance, Arrival, ListenerMember, ReloadRequests, serve_listener};
use crate::compose::Planned;
use crate::context::OwnAddresses;
use crate::drain::{
    GroupSocket, Handed, HandedSocket, Handover, Member, SocketControl, SocketControlSlot, StopSignals, Succession,
};
use crate::limits::ConnectionPermits;
use crate::memory::{BufferPool, MemoryBudget};
use crate::metrics::{IncidentLog, ListenerStats, Logged, WorkerLoad};
use crate::sync::CancellationToken;
use crate::tasks::let_go;
use crate::time::TimerWheel;
use crate::{Limits, ServeContext, Service};

/// What all loops of a server share.
#[derive(Debug)]
pub(in crate::runtime) struct Shared {
    pub(in crate::runtime) limits: Arc<Limits>,
    pub(in crate::runtime) permits: ConnectionPermits,
    pub(in crate::runtime) memory_budget: Option<Arc<MemoryBudget>>,
    pub(in crate::runtime) reload: ReloadRequests,
    pub(in crate::runtime) ours: Arc<OwnAddresses>,
}

/// A place, and what serves it.
pub(in crate::runtime) struct Route {
    local: Endpoint,
    service: Arc<dyn Service>,
    framing: Framing,
    limits: Arc<Limits>,
    capabilities: Capabilities,
    /// Of the listener that it belongs to.
    stats: Arc<ListenerStats>,
}

/// A part as the server sees it.
#[derive(Debug, Default)]
pub(in crate::runtime) struct LoopControl {
    pub(in crate::runtime) worker: usize,
    pub(in crate::runtime) signals: StopSignals,
    pub(in crate::runtime) handover: Handover,
    /// Its loop and its sessions have ended.
    pub(in crate::runtime) ended: CancellationToken,
}

/// Where a part gets what it serves.
pub(in crate::runtime) enum Source {
    Bound(Bound),
    /// From the loop before, under other layers.
    Handed(oneshot::Receiver<Handed>, Arc<WireLayers>),
}

pub(in crate::runtime) struct Part {
    pub(in crate::runtime) source: Source,
    pub(in crate::runtime) member: Member,
    pub(in crate::runtime) balance: AcceptBalance<Arrival>,
    pub(in crate::runtime) route: Arc<Route>,
    pub(in crate::runtime) logged: Arc<Logged>,
    pub(in crate::runtime) control: Arc<LoopControl>,
}

/// How the loop of a part ended: its endpoint, what was cut, and whether it failed.
pub(in crate::runtime) type Outcome = (Endpoint, u64, io::Result<()>);

impl Shared {
    /// What the server of `handle` begins with.
    pub(in crate::runtime) fn new(handle: &ServerHandle) -> Self {
        let (limits, ours) = (Arc::clone(&handle.common().limits), Arc::<OwnAddresses>::default());
        ours.set(handle.roster(|roster| roster.datagram_addresses()));
        Self {
            permits: ConnectionPermits::new(&limits),
            memory_budget: MemoryBudget::new(&limits),
            reload: handle.reload_requests().clone(),
            limits,
            ours,
        }
    }
}

impl LoopControl {
    pub(in crate::runtime) fn of_worker(worker: usize) -> Arc<Self> {
        Arc::new(Self { worker, ..Self::default() })
    }

    pub(in crate::runtime) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }
}

/// Says so when the loop has ended, or was dropped.
struct EndOfLoop(Arc<LoopControl>);

impl Drop for EndOfLoop {
    fn drop(&mut self) {
        self.0.handover.close();
        self.0.ended.cancel();
    }
}

impl Part {
    /// Starts its loop as a task of `loops`.
    pub(in crate::runtime) fn start(self, loops: &mut JoinSet<Outcome>, shared: &Arc<Shared>, load: &Arc<WorkerLoad>) {
        let (shared, load) = (Arc::clone(shared), Arc::clone(load));
        loops.spawn(async move {
            let (local, _end) = (self.route.local.clone(), EndOfLoop(Arc::clone(&self.control)));
            // A transport of a third party may panic: then this endpoint has failed, and the report says so.
            let served = AssertUnwindSafe(self.serve(&shared, load)).catch_unwind().await.map_err(let_go);
            let (cut, result) = served.unwrap_or_else(|()| (0, Err(io::Error::other("its loop panicked"))));
            (local, cut, result)
        });
    }

    async fn serve(self, shared: &Shared, load: Arc<WorkerLoad>) -> (u64, io::Result<()>) {
        let Self { source, member, balance, route, logged, control } = self;
        let bound = match source {
            Source::Bound(bound) => Ok(bound),
            Source::Handed(from, layers) => match from.await {
                Ok(Handed::Listener(listener)) => Ok(Bound::Listener(layers.wrap(unstacked(listener)))),
                Ok(Handed::Socket(socket)) => Err(socket),
                Err(_) if control.signals.drain.has_begun() => return (0, Ok(())),
                Err(_) => return (0, Err(io::Error::other("the loop that had it before has failed"))),
            },
        };
        let serving = route.stats.of_worker(control.worker).serving();
        let mut cx = route.context(shared, load, &logged, &control);
        let (socket, dropped, rest) = match bound {
            Ok(Bound::Listener(listener)) => {
                let permits = shared.permits.of_listener(&route.limits, &shared.limits);
                let handover = control.handover.clone();
                let listener = ListenerMember { listener, member, balance, handover, serving };
                let service = Arc::clone(&route.service);
                return serve_listener(listener, service, Arc::new(cx), permits, shared.reload.watch()).await;
            }
            Ok(Bound::Socket(socket)) => (socket, 0, None),
            Ok(_) => return (0, Err(io::ErrorKind::Unsupported.into())),
            Err(HandedSocket { socket, dropped, rest }) => (socket, dropped, rest),
        };
        let socket = if route.service.succession() == Succession::None {
            Box::new(GroupSocket::new(socket, member, control.signals.drain.clone()))
        } else {
            cx.control =
                SocketControlSlot::new(SocketControl { member, handover: control.handover.clone(), dropped, rest });
            socket
        };
        // One task, which ends with this future: the loop of a socket reads no time, its sessions do.
        let (mut clock, driver) = (JoinSet::new(), cx.clone());
        clock.spawn(async move { driver.drive_clock().await });
        let served = route.service.serve_socket(socket, &cx).await;
        drop(serving);
        match served {
            Ok(cut) => (cut, Ok(())),
            Err(error) => (0, Err(error)),
        }
    }
}

/// What is below the layers of `listener`.
fn unstacked(mut listener: Box<dyn Listener>) -> Box<dyn Listener> {
    while let Some(below) = listener.unstack() {
        listener = below;
    }
    listener
}

impl Route {
    pub(in crate::runtime) fn new(planned: &Planned, local: Endpoint, stats: &Arc<ListenerStats>) -> Self {
        let Planned { service, framing, limits, capabilities, .. } = planned;
        let (service, framing, limits) = (Arc::clone(service), framing.clone(), Arc::clone(limits));
        Self { local, service, framing, limits, capabilities: *capabilities, stats: Arc::clone(stats) }
    }

    fn context(
        &self,
        shared: &Shared,
        load: Arc<WorkerLoad>,
        logged: &Arc<Logged>,
        control: &LoopControl,
    ) -> ServeContext {
        let Self { local, framing, limits, capabilities, stats: listener, .. } = self;
        let stats = listener.of_worker(control.worker);
        ServeContext {
            bound: Addr::of_endpoint(local),
            endpoint: local.clone(),
            capabilities: *capabilities,
            framing: framing.clone(),
            limits: Arc::clone(limits),
            listener: Arc::clone(listener),
            stats: Arc::clone(stats),
            load,
            incidents: IncidentLog::new(local.clone(), Arc::clone(stats), Arc::clone(logged)),
            drain: control.signals.drain.clone(),
            abort: control.signals.abort.clone(),
            timers: Arc::new(TimerWheel::new(limits)),
            buffers: BufferPool::new(framing.clone(), limits.max_reply),
            memory_budget: shared.memory_budget.clone(),
            ours: Arc::clone(&shared.ours),
            control: SocketControlSlot::default(),
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} on worker {})", self.route.local, self.control.worker)
    }
}
