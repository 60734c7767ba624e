//! A bound server, and how it runs and drains.

use std::future::{Future, IntoFuture, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use swapwire_core::Endpoint;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::handle::ServerHandle;
use super::running::Running;
use super::worker::{WorkerRuntime, Workers};
use super::worker_assignment::{Assignment, Outcome, Served, Shared, assign};
use crate::drain::{QUIET, REPORT_TIME, StopSignals};
use crate::limits::ConnectionPermits;
use crate::memory::MemoryBudget;
use crate::metrics::ListenerStats;
use crate::time::{HELD_UP, over, within};
use crate::{DrainReport, Limits};

/// A bound server: every endpoint is bound, nothing is served yet.
///
/// Running it is, in plain words:
///
/// ```text
/// for each listener, a task:                      for each datagram socket, a task:
///   until told to stop:                             until told to stop:
///     wait until one more permit is free               receive a batch
///     accept                                          handle each datagram in place
///     start a task for the session                    send the replies as one batch
/// when told to stop:
///   accept what already waits, then close the listeners
///   tell the handlers; idle sessions end, busy ones finish
///   wait, at most for the drain deadline; cut what is left; report
/// ```
///
/// With [workers](crate::ServerBuilder::workers), each of them runs such tasks on a thread and a runtime of its own.
#[must_use = "a server does nothing before it runs"]
pub struct Server {
    handle: ServerHandle,
    /// One without workers, on the caller's runtime.
    assignments: Vec<Assignment>,
    /// One for each assignment, or none.
    runtimes: Vec<WorkerRuntime>,
    limits: Arc<Limits>,
}

impl Server {
    /// Spreads what is served over `workers`; without any, it is for the caller's runtime.
    ///
    /// # Errors
    /// The runtime of a worker cannot be made.
    pub(crate) fn new(served: Vec<Served>, limits: Arc<Limits>, workers: Option<usize>) -> io::Result<Self> {
        let locals = served.iter().map(|served| served.route.dial.clone()).collect();
        let reloads = served.iter().filter(|served| served.reloads()).map(|served| served.route.dial.clone()).collect();
        let mut listeners: Vec<Arc<ListenerStats>> = Vec::new();
        for Served { route, .. } in &served {
            // The addresses of a host name stand together.
            if !listeners.last().is_some_and(|last| Arc::ptr_eq(last, &route.stats)) {
                listeners.push(Arc::clone(&route.stats));
            }
        }
        let assignments = assign(served, workers.unwrap_or(1));
        let runtime = |number| {
            let failed = |error: io::Error| io::Error::new(error.kind(), format!("start worker {number}: {error}"));
            WorkerRuntime::new(number).map_err(failed)
        };
        let runtimes = if workers.is_some() { assignments.len() } else { 0 };
        let runtimes = (0..runtimes).map(runtime).collect::<Result<_, _>>()?;
        let loads = assignments.iter().map(|assignment| Arc::clone(&assignment.load)).collect();
        let handle = ServerHandle::new(locals, listeners, loads, reloads);
        Ok(Self { handle, assignments, runtimes, limits })
    }

    /// What was really bound, in the order of the builder: with the real port where 0 was asked for, and an endpoint for
    /// each address of a host name.
    pub fn local_endpoints(&self) -> Vec<Endpoint> {
        self.handle.local_endpoints().to_vec()
    }

    /// A handle to watch and to stop the server with, while [`run_until`](Self::run_until) serves.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Serves until `shutdown` is ready, or [`ServerHandle::stop`] is called, then drains and reports. If every endpoint fails for good, it ends by itself.
    /// `shutdown` is polled before anything is served: a signal that it waits for is caught from the first message on.
    ///
    /// Needs a tokio runtime with its network and time drivers. With [workers](crate::ServerBuilder::workers) the handlers
    /// run on theirs, and this one only waits; if the system refuses them their threads, every endpoint has failed, and the
    /// report says so.
    ///
    /// # Cancel safety
    /// Dropping it closes everything as soon as the runtime gets to it, and leaves no task behind. Workers are told and not
    /// waited for: each cuts its sessions and ends as soon as no handler blocks its thread.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> DrainReport {
        self.run_until_cut(shutdown, pending()).await
    }

    /// As [`Server::run_until`], and when `cut` is ready in the drain, everything is cut as at its deadline, counted and
    /// reported. `cut` is first polled when the drain has begun.
    ///
    /// # Cancel safety
    /// As of [`Server::run_until`].
    pub async fn run_until_cut(self, shutdown: impl Future<Output = ()>, cut: impl Future<Output = ()>) -> DrainReport {
        let handle = self.handle;
        let mut shutdown = pin!(either(shutdown, handle.stopped()));
        let at_once = poll_fn(|cx| Poll::Ready(shutdown.as_mut().poll(cx).is_ready())).await;
        let shared = Shared {
            limits: Arc::clone(&self.limits),
            permits: ConnectionPermits::new(&self.limits),
            memory_budget: MemoryBudget::new(&self.limits),
            reload: handle.reload_requests().clone(),
        };
        let signals: Vec<_> = self.assignments.iter().map(|_| StopSignals::default()).collect();
        let mut loops = match Loops::start(self.assignments, self.runtimes, &shared, &signals) {
            Ok(loops) => loops,
            Err(error) => {
                let again = |endpoint| (endpoint, io::Error::new(error.kind(), error.to_string()));
                let failed = handle.local_endpoints().iter().cloned().map(again).collect();
                let stats = handle.snapshot();
                return DrainReport { stats, cut: 0, cut_at: Vec::new(), drain: Duration::ZERO, failed };
            }
        };

        let mut ended = Ended::default();
        // A future that is over is not polled again.
        if !at_once {
            tokio::select! {
                biased;
                () = &mut shutdown => {}
                () = ended.note_all(&mut loops) => {}
            }
        }

        let (begun, limits) = (Instant::now(), &self.limits);
        let unused = Arc::default();
        let busiest = handle.loads().iter().max_by_key(|load| load.open()).unwrap_or(&unused);
        handle.stop();
        signals.iter().for_each(|signals| signals.drain.begin());
        let all = async {
            let tell_sessions = async {
                over(QUIET, busiest).await;
                signals.iter().for_each(|signals| signals.drain.sessions.begin());
                pending().await
            };
            tokio::select! {
                biased;
                () = ended.note_all(&mut loops) => {}
                () = tell_sessions => {}
            }
        };
        let in_time = async {
            let mut all = pin!(all);
            let timeout = async {
                sleep(limits.drain_timeout).await;
                // The process was stopped: it knows only now what came meanwhile.
                let stopped = begun.elapsed() >= limits.drain_timeout.saturating_add(HELD_UP);
                over(if stopped { limits.drain_grace } else { Duration::ZERO }, busiest).await;
            };
            tokio::select! {
                biased;
                () = &mut all => true,
                () = timeout => false,
            }
        };
        let late = tokio::select! {
            biased;
            in_time = in_time => !in_time,
            () = either(cut, handle.aborted()) => true,
        };
        if late {
            signals.iter().for_each(|signals| signals.abort.cancel());
            let _ = within(REPORT_TIME, busiest, ended.note_all(&mut loops)).await;
            ended.cut = ended.cut.max(loops.left() as u64);
        }
        let Ended { cut, cut_at, failed } = ended;
        DrainReport { stats: handle.snapshot(), cut, cut_at, drain: begun.elapsed(), failed }
    }

    /// Serves in a task of its own and returns a handle; for tests, and for servers inside other programs.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(self) -> Running {
        let handle = self.handle();
        Running { handle, task: tokio::spawn(self.into_future()) }
    }
}

/// Resolves when one of them does; the first is polled first.
async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = one => {}
        () = other => {}
    }
}

#[derive(Default)]
struct Ended {
    cut: u64,
    cut_at: Vec<(Endpoint, u64)>,
    failed: Vec<(Endpoint, io::Error)>,
}

/// The loops of a server that runs. Dropping this cuts them.
enum Loops {
    Here(JoinSet<Outcome>),
    Elsewhere(Workers),
}

impl Loops {
    fn start(
        assignments: Vec<Assignment>,
        runtimes: Vec<WorkerRuntime>,
        shared: &Shared,
        signals: &[StopSignals],
    ) -> io::Result<Self> {
        let mut assignments = assignments.into_iter().zip(signals);
        if runtimes.is_empty() {
            let only = assignments.next().map(|(assignment, signals)| assignment.start(shared, signals));
            return Ok(Self::Here(only.unwrap_or_default()));
        }
        let assignments =
            assignments.zip(runtimes).map(|((assignment, signals), runtime)| (assignment, runtime, signals.clone()));
        Workers::start(assignments.collect(), shared).map(Self::Elsewhere)
    }

    /// The next one that ends; `None` when all have. Cancel safe.
    async fn next(&mut self) -> Option<Outcome> {
        match self {
            Self::Here(loops) => loop {
                match loops.join_next().await? {
                    Ok(outcome) => return Some(outcome),
                    Err(error) => tracing::error!(%error, "a serving loop ended without an outcome"),
                }
            },
            Self::Elsewhere(workers) => workers.next().await,
        }
    }

    /// How many have not ended.
    fn left(&self) -> usize {
        match self {
            Self::Here(loops) => loops.len(),
            Self::Elsewhere(workers) => workers.left(),
        }
    }
}

impl Ended {
    async fn note_all(&mut self, loops: &mut Loops) {
        while let Some((endpoint, cut, result)) = loops.next().await {
            self.cut += cut;
            if cut > 0 {
                match self.cut_at.iter_mut().find(|(other, _)| *other == endpoint) {
                    Some((_, count)) => *count += cut,
                    None => self.cut_at.push((endpoint.clone(), cut)),
                }
            }
            if let Err(error) = result {
                tracing::error!(%endpoint, %error, "endpoint failed");
                self.failed.push((endpoint, error));
            }
        }
    }
}

/// Serves until [`ServerHandle::stop`]: [`Server::run_until`] with a shutdown that never comes.
impl IntoFuture for Server {
    type Output = DrainReport;
    type IntoFuture = Pin<Box<dyn Future<Output = DrainReport> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run_until(pending()))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.local_endpoints()).finish()
    }
}
