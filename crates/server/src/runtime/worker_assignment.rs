//! Which worker serves what: the loops of one worker, or of the only one.

use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use swapwire_core::{Addr, Bound, Capabilities, Endpoint, Framing};
use tokio::task::JoinSet;

use crate::accept::{AcceptBalance, Arrival, ReloadRequests, balance, serve_listener};
use crate::drain::{GroupSocket, Member, StopSignals};
use crate::limits::ConnectionPermits;
use crate::memory::{BufferPool, MemoryBudget};
use crate::metrics::{IncidentLog, ListenerStats, Logged, WorkerLoad};
use crate::tasks::let_go;
use crate::time::TimerWheel;
use crate::{Limits, ServeContext, Service};

/// What all workers share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Arc<Limits>,
    pub(crate) permits: ConnectionPermits,
    pub(crate) memory_budget: Option<Arc<MemoryBudget>>,
    pub(crate) reload: ReloadRequests,
}

/// An endpoint, and what serves it.
pub(crate) struct Route {
    pub(crate) local: Endpoint,
    /// What a client dials.
    pub(crate) dial: Endpoint,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) framing: Framing,
    pub(crate) limits: Arc<Limits>,
    pub(crate) capabilities: Capabilities,
    /// Of the listener that it belongs to.
    pub(crate) stats: Arc<ListenerStats>,
}

/// A route with all that was bound for it: one, or a group for several workers.
pub(crate) struct Served {
    pub(crate) members: Vec<Bound>,
    pub(crate) route: Arc<Route>,
}

impl Served {
    /// Whether it was bound with something that can be read again.
    pub(crate) fn reloads(&self) -> bool {
        self.members.iter().any(|bound| matches!(bound, Bound::Listener(listener) if listener.reloads()))
    }
}

/// What one worker serves.
pub(crate) struct Assignment {
    /// Its place among the workers.
    number: usize,
    parts: Vec<Part>,
    pub(crate) load: Arc<WorkerLoad>,
    /// The addresses of all datagram sockets, of other workers as well.
    ours: Arc<[SocketAddr]>,
}

/// One member of a route's group.
struct Part {
    bound: Bound,
    member: Member,
    balance: AcceptBalance<Arrival>,
    grouped: bool,
    route: Arc<Route>,
    logged: Arc<Logged>,
}

/// How the loop of one member ended: its endpoint, what was cut, and whether it failed.
pub(crate) type Outcome = (Endpoint, u64, io::Result<()>);

/// Spreads the members over so many workers, and leaves out those that would have nothing to do.
pub(crate) fn assign(served: Vec<Served>, workers: usize) -> Vec<Assignment> {
    let ours: Arc<[_]> = served.iter().filter_map(datagram_address).collect();
    let assignment = |number| Assignment { number, parts: Vec::new(), load: Arc::default(), ours: Arc::clone(&ours) };
    let mut assignments: Vec<_> = (0..workers.max(1)).map(assignment).collect();
    let workers = assignments.len();
    // Endpoints that not every worker serves begin where the last of them ended.
    let mut next = 0;
    for Served { members, route } in served {
        let count = members.len();
        let first = if count < workers { next } else { 0 };
        next = if count < workers { (next + count) % workers } else { next };
        let logged = Arc::default();
        let members = members.into_iter().zip(Member::group(count)).zip(balance(count));
        for (i, ((bound, member), balance)) in members.enumerate() {
            let (route, logged) = (Arc::clone(&route), Arc::clone(&logged));
            let part = Part { bound, member, balance, grouped: count > 1, route, logged };
            assignments[(first + i) % workers].parts.push(part);
        }
    }
    assignments.retain(|assignment| !assignment.parts.is_empty());
    assignments
}

fn datagram_address(served: &Served) -> Option<SocketAddr> {
    match served.members.first()? {
        Bound::Socket(socket) => match socket.local_addr()? {
            Addr::Inet(addr) => Some(addr),
            _ => None,
        },
        _ => None,
    }
}

impl Assignment {
    /// What it serves, an endpoint for each loop.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.parts.iter().map(|part| &part.route.local)
    }

    /// Starts a task for each loop on the runtime that this is called on.
    pub(crate) fn start(self, shared: &Shared, signals: &StopSignals) -> JoinSet<Outcome> {
        let mut loops = JoinSet::new();
        for part in self.parts {
            let Route { local, framing, limits, capabilities, stats, .. } = &*part.route;
            let stats = stats.of_worker(self.number);
            let cx = Arc::new(ServeContext {
                bound: Addr::of_endpoint(local),
                endpoint: local.clone(),
                capabilities: *capabilities,
                framing: framing.clone(),
                limits: Arc::clone(limits),
                stats: Arc::clone(stats),
                load: Arc::clone(&self.load),
                incidents: IncidentLog::new(local.clone(), Arc::clone(stats), Arc::clone(&part.logged)),
                drain: signals.drain.clone(),
                abort: signals.abort.clone(),
                timers: Arc::new(TimerWheel::new(limits)),
                buffers: BufferPool::new(framing.clone(), limits.max_reply),
                memory_budget: shared.memory_budget.clone(),
                ours: Arc::clone(&self.ours),
            });
            let (shared, serving) = (shared.clone(), stats.serving());
            loops.spawn(async move {
                let _serving = serving;
                let local = part.route.local.clone();
                // A transport of a third party may panic: then this endpoint has failed, and the report says so.
                let served = AssertUnwindSafe(part.serve(cx, shared)).catch_unwind().await.map_err(let_go);
                let (cut, result) = served.unwrap_or_else(|()| (0, Err(io::Error::other("its loop panicked"))));
                (local, cut, result)
            });
        }
        loops
    }
}

impl Part {
    async fn serve(self, cx: Arc<ServeContext>, shared: Shared) -> (u64, io::Result<()>) {
        let service = Arc::clone(&self.route.service);
        let socket = match self.bound {
            Bound::Listener(listener) => {
                let reload = shared.reload.watch();
                let permits = shared.permits.of_listener(&cx.limits, &shared.limits);
                return serve_listener(listener, self.member, self.balance, service, cx, permits, reload).await;
            }
            Bound::Socket(socket) if !self.grouped => socket,
            Bound::Socket(socket) => Box::new(GroupSocket::new(socket, self.member, cx.drain.clone())),
            _ => return (0, Err(io::ErrorKind::Unsupported.into())),
        };
        // One task, which ends with this future: the loop of a socket reads no time, its sessions do.
        let (mut clock, driver) = (JoinSet::new(), Arc::clone(&cx));
        clock.spawn(async move { driver.drive_clock().await });
        match service.serve_socket(socket, &cx).await {
            Ok(cut) => (cut, Ok(())),
            Err(error) => (0, Err(error)),
        }
    }
}
