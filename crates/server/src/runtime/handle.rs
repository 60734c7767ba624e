//! A running server as others see it.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use swapwire_core::Endpoint;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::listeners::{Change, Roster};
use crate::accept::ReloadRequests;
use crate::compose::Common;
use crate::metrics::{ListenerInfo, PrometheusText, Snapshot, WorkerLoad};

/// Watches and stops a server from anywhere: [`Server::handle`](crate::Server::handle).
///
/// Clones are handles of the same server. Dropping them does nothing to it. A handle may outlive its server; then the
/// numbers stay as they were at the end, and stopping does nothing.
///
/// ```
/// use swapwire_core::{Registry, handler_fn};
/// use swapwire_mem::MemNetwork;
/// use swapwire_server::Server;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?)).any_slicing();
/// let server = Server::builder().transport(MemNetwork::new()).listen("mem:echo").handler(echo).bind().await?;
/// let handle = server.handle();
/// tokio::spawn(async move {
///     println!("{} sessions at {:?}", handle.snapshot().sessions, handle.local_endpoints());
///     handle.stop();
/// });
/// let report = server.await; // serves until `stop`
/// assert!(report.is_clean());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerHandle(Arc<Control>);

struct Control {
    common: Common,
    roster: Mutex<Roster>,
    /// Of each worker.
    loads: Vec<Arc<WorkerLoad>>,
    /// The drain is to begin, or has begun.
    stop: CancellationToken,
    /// The drain is over, whatever is left.
    abort: CancellationToken,
    reload: ReloadRequests,
    /// Held by the one change that is made.
    applying: tokio::sync::Mutex<()>,
    changes: mpsc::Sender<Change>,
}

impl ServerHandle {
    /// Changes are sent to `changes`: at most one waits.
    pub(super) fn new(common: Common, roster: Roster, changes: mpsc::Sender<Change>) -> Self {
        let loads = (0..common.workers.unwrap_or(1)).map(|_| Arc::default()).collect();
        let (stop, abort, reload, applying) = Default::default();
        Self(Arc::new(Control { common, roster: Mutex::new(roster), loads, stop, abort, reload, applying, changes }))
    }

    /// What was really bound: [`Server::local_endpoints`](crate::Server::local_endpoints).
    pub fn local_endpoints(&self) -> Vec<Endpoint> {
        self.roster(|roster| roster.dials())
    }

    /// The counters now, of all listeners and workers.
    pub fn snapshot(&self) -> Snapshot {
        self.roster(|roster| roster.total())
    }

    /// The counters of each listener now, of all workers: one for each [`listen`](crate::ServerBuilder::listen), in their
    /// order. What all of them count is [`snapshot`](Self::snapshot).
    ///
    /// It only loads, and waits for no worker: numbers that belong together may be of moments that are a little apart.
    ///
    /// ```
    /// # fn show(handle: &swapwire_server::ServerHandle) {
    /// for (listener, counted) in handle.snapshots() {
    ///     println!("{}: {} sessions by {}", listener.name, counted.sessions, listener.transport);
    /// }
    /// # }
    /// ```
    pub fn snapshots(&self) -> Vec<(ListenerInfo, Snapshot)> {
        self.roster(|roster| roster.stats().map(|stats| (stats.info(), stats.snapshot())).collect())
    }

    /// The numbers of this server and its process now, as text for Prometheus: `docs/metrics.md` lists them. Listeners that
    /// are called the same are one there.
    ///
    /// It waits for no worker. It reads `proc(5)`, which may block its thread for a millisecond, with very many descriptors
    /// for longer: better not that of a worker.
    ///
    /// ```
    /// # fn show(handle: &swapwire_server::ServerHandle) {
    /// let mut text = handle.prometheus();
    /// text.counter("orders_total", "Orders taken.", 3);
    /// println!("{text}");
    /// # }
    /// ```
    pub fn prometheus(&self) -> PrometheusText {
        let mut text = PrometheusText::default();
        text.server(self.snapshots(), self.is_draining());
        text.process();
        text
    }

    /// The counters of each worker now, in their order; of one, where there are no
    /// [workers](crate::ServerBuilder::workers).
    pub fn worker_snapshots(&self) -> Vec<Snapshot> {
        self.roster(|roster| roster.workers().into_iter().map(|worker| roster.of_worker(worker)).collect())
    }

    /// Endpoints that new peers do not reach; each is logged as an error when that begins. Listeners that have failed to
    /// accept for 10 s, without one success; and listeners and datagram sockets whose place was taken away: a socket's file
    /// has gone and cannot be made again, or another socket's file is there (see [`Upkeep`](swapwire_core::Upkeep)). One that
    /// is well again, or has failed for good (see [`DrainReport::failed`](crate::DrainReport::failed)), is not among them.
    pub fn unhealthy(&self) -> Vec<Endpoint> {
        self.roster(|roster| roster.unhealthy())
    }

    /// Begins the drain, as the `shutdown` of [`Server::run_until`](crate::Server::run_until) does, and does not wait for its
    /// end: whoever awaits the server has the report. A server that does not run yet drains as soon as it does. Calling it
    /// again does nothing.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Cuts everything now, as at the drain deadline, whether a drain has begun or not. What was cut is in the report.
    pub fn abort(&self) {
        self.0.abort.cancel();
        self.stop();
    }

    /// Whether a drain has begun, or is to begin as soon as the server runs. It stays so when the server has ended.
    pub fn is_draining(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    /// Has every listener read again what it was bound with, as certificates are, for connections that come later; and returns
    /// whether any of them [has such a thing](Self::reloads).
    ///
    /// It does not wait. Each listener begins within a second, and logs what came of it; what cannot be used leaves the old in
    /// its place. Requests that come before it begins are one. A server that does not run yet reloads when it does, one that
    /// drains does not.
    pub fn reload(&self) -> bool {
        self.0.reload.ask();
        !self.reloads().is_empty()
    }

    /// Which of the [local endpoints](Self::local_endpoints) were bound with something that [`reload`](Self::reload) reads again
    /// ([`Listener::reloads`](swapwire_core::Listener::reloads)).
    pub fn reloads(&self) -> Vec<Endpoint> {
        self.roster(|roster| roster.reloads())
    }

    /// Ready when every worker that serves has turned since this was first polled: each has let others run, and none is blocked
    /// by a handler. For a watchdog.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing behind.
    pub async fn turned(&self) {
        for worker in self.roster(|roster| roster.workers()) {
            self.0.loads[worker].next_heartbeat().await;
        }
    }

    /// The load of the worker that has the most to do.
    pub(super) fn busiest(&self) -> Arc<WorkerLoad> {
        self.0.loads.iter().max_by_key(|load| load.open()).cloned().unwrap_or_default()
    }

    pub(super) fn roster<T>(&self, of: impl FnOnce(&mut Roster) -> T) -> T {
        of(&mut self.0.roster.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn common(&self) -> &Common {
        &self.0.common
    }

    pub(super) fn applying(&self) -> &tokio::sync::Mutex<()> {
        &self.0.applying
    }

    pub(super) fn changes(&self) -> &mpsc::Sender<Change> {
        &self.0.changes
    }

    pub(super) fn reload_requests(&self) -> &ReloadRequests {
        &self.0.reload
    }

    /// Resolves with [`stop`](Self::stop).
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        self.0.stop.clone().cancelled_owned()
    }

    /// Resolves with [`abort`](Self::abort).
    pub(super) fn aborted(&self) -> impl Future<Output = ()> + Send + 'static {
        self.0.abort.clone().cancelled_owned()
    }

    pub(super) fn loads(&self) -> &[Arc<WorkerLoad>] {
        &self.0.loads
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerHandle").field(&self.local_endpoints()).finish()
    }
}
