//! A bound server, and how it runs and drains.

use std::future::{Future, IntoFuture, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use swapwire_core::Endpoint;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::handle::ServerHandle;
use super::listeners::{Change, Roster};
use super::loops::Loops;
use super::part::{LoopControl, Outcome, Part, Shared};
use super::running::Running;
use super::worker::WorkerRuntime;
use crate::compose::{BoundPlace, Common, Planned};
use crate::drain::{QUIET, REPORT_TIME};
use crate::metrics::WorkerLoad;
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
    parts: Vec<Part>,
    /// Of the workers that serve, if there are any; otherwise it is for the caller's runtime.
    runtimes: Vec<(usize, WorkerRuntime)>,
    changes: mpsc::Receiver<Change>,
}

impl Server {
    /// Spreads what is bound over the workers.
    ///
    /// # Errors
    /// The runtime of a worker cannot be made.
    pub(crate) fn new(bound: Vec<(Planned, Vec<BoundPlace>)>, common: Common) -> io::Result<Self> {
        let (roster, parts) = Roster::new(bound, common.workers.unwrap_or(1));
        let workers = common.workers.map_or_else(Vec::new, |_| roster.workers());
        let runtime = |number| WorkerRuntime::new(number).map(|runtime| (number, runtime));
        let runtimes = workers.into_iter().map(runtime).collect::<Result<_, _>>()?;
        let (sender, changes) = mpsc::channel(1);
        Ok(Self { handle: ServerHandle::new(common, roster, sender), parts, runtimes, changes })
    }

    /// What was really bound, in the order of the builder: with the real port where 0 was asked for, and an endpoint for
    /// each address of a host name.
    pub fn local_endpoints(&self) -> Vec<Endpoint> {
        self.handle.local_endpoints()
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
        let Self { handle, parts, runtimes, mut changes } = self;
        let limits = Arc::clone(&handle.common().limits);
        let mut shutdown = pin!(either(shutdown, handle.stopped()));
        let at_once = poll_fn(|cx| Poll::Ready(shutdown.as_mut().poll(cx).is_ready())).await;
        let shared = Arc::new(Shared::new(&handle));
        let mut loops = Loops::new(handle.common().workers.is_some(), handle.loads(), Arc::clone(&shared));
        if let Err(error) = loops.start(parts, runtimes) {
            let again = |endpoint| (endpoint, io::Error::new(error.kind(), error.to_string()));
            let failed = handle.local_endpoints().into_iter().map(again).collect();
            let stats = handle.snapshot();
            return DrainReport { stats, cut: 0, cut_at: Vec::new(), drain: Duration::ZERO, failed };
        }
        // Workers answer themselves.
        let here = handle.loads().first().filter(|_| handle.common().workers.is_none());
        let mut heartbeats = pin!(async {
            match here {
                Some(load) => load.answer_heartbeats().await,
                None => pending().await,
            }
        });
        let mut served = pin!(async {
            let mut ended = Ended::default();
            // A future that is over is not polled again.
            if !at_once {
                serve(&handle, &mut loops, &mut changes, &shared, &mut ended, shutdown).await;
            }
            drop(changes);
            drain(&handle, &limits, loops, ended, cut).await
        });
        tokio::select! {
            biased;
            never = &mut heartbeats => match never {},
            report = &mut served => report,
        }
    }

    /// Serves in a task of its own and reheartbeats a handle; for tests, and for servers inside other programs.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(self) -> Running {
        let handle = self.handle();
        Running { handle, task: tokio::spawn(self.into_future()) }
    }
}

/// Until `shutdown` is ready, or all loops have ended; changes listeners meanwhile.
async fn serve(
    handle: &ServerHandle,
    loops: &mut Loops,
    changes: &mut mpsc::Receiver<Change>,
    shared: &Shared,
    ended: &mut Ended,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) {
    // Those of listeners that were removed, each for as long as a drain takes.
    let mut drains = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(change) = changes.recv() => {
                let controls = change.carry_out(handle, loops, shared);
                if !controls.is_empty() {
                    drains.push(drain_loops(controls, &handle.common().limits, handle.busiest()));
                }
            }
            Some(()) = drains.next(), if !drains.is_empty() => {}
            outcome = loops.next() => match outcome {
                Some(outcome) => ended.note(outcome),
                None => return,
            },
        }
    }
}

/// Drains listeners while others go on.
async fn drain_loops(controls: Vec<Arc<LoopControl>>, limits: &Limits, load: Arc<WorkerLoad>) {
    controls.iter().for_each(|control| control.signals.drain.begin());
    over(QUIET, &load).await;
    controls.iter().for_each(|control| control.signals.drain.sessions.begin());
    let all_ended = async {
        for control in &controls {
            control.ended.cancelled().await;
        }
    };
    if within(limits.drain_timeout, &load, all_ended).await.is_none() {
        controls.iter().for_each(|control| control.signals.abort.cancel());
    }
}

/// Drains the whole server.
async fn drain(
    handle: &ServerHandle,
    limits: &Limits,
    mut loops: Loops,
    mut ended: Ended,
    cut: impl Future<Output = ()>,
) -> DrainReport {
    let (begun, busiest, controls) = (Instant::now(), &handle.busiest(), handle.roster(|roster| roster.controls()));
    handle.stop();
    controls.iter().for_each(|control| control.signals.drain.begin());
    let all = async {
        let tell_sessions = async {
            over(QUIET, busiest).await;
            controls.iter().for_each(|control| control.signals.drain.sessions.begin());
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
        controls.iter().for_each(|control| control.signals.abort.cancel());
        let _ = within(REPORT_TIME, busiest, ended.note_all(&mut loops)).await;
        ended.cut = ended.cut.max(loops.left() as u64);
    }
    let Ended { cut, cut_at, failed } = ended;
    DrainReport { stats: handle.snapshot(), cut, cut_at, drain: begun.elapsed(), failed }
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

impl Ended {
    async fn note_all(&mut self, loops: &mut Loops) {
        while let Some(outcome) = loops.next().await {
            self.note(outcome);
        }
    }

    fn note(&mut self, (endpoint, cut, result): Outcome) {
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
