//! A bound server, and how it runs and drains.

use std::future::{Future, IntoFuture, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use swapwire_core::{Bound, Capabilities, Endpoint, Framing};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::accept::{Room, serve_listener};
use crate::context::{Drain, QUIET};
use crate::keeper::Keeper;
use crate::scratch::Lending;
use crate::stats::{Snapshot, Stats};
use crate::{DrainReport, Limits, ServeContext, ServerBuilder, Service};

/// A bound server: every endpoint is bound, nothing is served yet.
///
/// Running it is, in plain words:
///
/// ```text
/// for each listener, a task:                      for each datagram socket, a task:
///   until told to stop:                             until told to stop:
///     wait for room for one more connection           receive a batch
///     accept                                          handle each datagram in place
///     start a task for the session                    send the replies as one batch
/// when told to stop:
///   accept what already waits, then close the listeners
///   tell the handlers; idle sessions end, busy ones finish
///   wait, at most for the drain deadline; cut what is left; report
/// ```
#[must_use = "a server does nothing before it runs"]
pub struct Server {
    served: Vec<Served>,
    limits: Arc<Limits>,
    stats: Arc<Stats>,
}

pub(crate) struct Served {
    pub(crate) bound: Bound,
    pub(crate) local: Endpoint,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) framing: Framing,
    pub(crate) capabilities: Capabilities,
}

/// After the drain deadline the loops have this long to cut what is left and say so.
const LAST_WORD: Duration = Duration::from_millis(200);

impl Server {
    /// Starts composing one.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    pub(crate) fn new(served: Vec<Served>, limits: Limits) -> Self {
        Self { served, limits: Arc::new(limits), stats: Arc::default() }
    }

    /// What was really bound, in the order of the builder: with the real port where 0 was asked for.
    pub fn local_endpoints(&self) -> Vec<Endpoint> {
        self.served.iter().map(|served| served.local.clone()).collect()
    }

    /// Serves until `shutdown` is ready, then drains and reports. If every endpoint fails for good, it ends by itself.
    /// `shutdown` is polled before anything is served: a signal that it waits for is caught from the first message on.
    ///
    /// Needs a tokio runtime with its network and time drivers.
    ///
    /// # Cancel safety
    /// Dropping it closes everything at once and leaves no task behind.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> DrainReport {
        let mut shutdown = pin!(shutdown);
        let over = poll_fn(|cx| Poll::Ready(shutdown.as_mut().poll(cx).is_ready())).await;
        let drain = Drain::default();
        let abort = CancellationToken::new();
        let room =
            Room { permits: Arc::new(Semaphore::new(self.limits.max_connections)), closed: Arc::new(Notify::new()) };
        let mut loops = Loops::new();
        for served in self.served {
            let cx = Arc::new(ServeContext {
                endpoint: served.local.clone(),
                capabilities: served.capabilities,
                framing: served.framing,
                limits: Arc::clone(&self.limits),
                stats: Arc::clone(&self.stats),
                drain: drain.clone(),
                abort: abort.clone(),
                keeper: Arc::new(Keeper::new(&self.limits)),
                lending: Lending::default(),
                id: ServeContext::fresh_id(),
            });
            let (service, room) = (served.service, room.clone());
            loops.spawn(async move {
                let (cut, result) = match served.bound {
                    Bound::Listener(listener) => serve_listener(listener, service, cx, room).await,
                    Bound::Socket(socket) => match service.serve_socket(socket, &cx).await {
                        Ok(cut) => (cut, Ok(())),
                        Err(error) => (0, Err(error)),
                    },
                    _ => (0, Err(io::ErrorKind::Unsupported.into())),
                };
                (served.local, cut, result)
            });
        }

        let mut ended = Ended::default();
        // A future that is over is not polled again.
        if !over {
            tokio::select! {
                () = &mut shutdown => {}
                () = ended.note_all(&mut loops) => {}
            }
        }

        let begun = Instant::now();
        drain.begin();
        let all = async {
            let tell_sessions = async {
                sleep(QUIET).await;
                drain.sessions.cancel();
                pending().await
            };
            tokio::select! {
                () = ended.note_all(&mut loops) => {}
                () = tell_sessions => {}
            }
        };
        if timeout(self.limits.drain_timeout, all).await.is_err() {
            abort.cancel();
            let _ = timeout(LAST_WORD, ended.note_all(&mut loops)).await;
            ended.cut = ended.cut.max(loops.len() as u64);
        }
        DrainReport { stats: self.stats.snapshot(), cut: ended.cut, drain: begun.elapsed(), failed: ended.failed }
    }

    /// Serves in a task of its own and returns a handle; for tests, and for servers inside other programs.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(self) -> Running {
        let (stop, stopped) = oneshot::channel::<()>();
        let endpoints = self.local_endpoints();
        let stats = Arc::clone(&self.stats);
        let task = tokio::spawn(self.run_until(async {
            let _ = stopped.await;
        }));
        Running { endpoints, stats, stop: Some(stop), task }
    }
}

#[derive(Default)]
struct Ended {
    cut: u64,
    failed: Vec<(Endpoint, io::Error)>,
}

/// The endpoint, what was cut, and whether it failed.
type Outcome = (Endpoint, u64, io::Result<()>);
type Loops = JoinSet<Outcome>;

impl Ended {
    async fn note_all(&mut self, loops: &mut Loops) {
        while let Some(one) = loops.join_next().await {
            self.note(one);
        }
    }

    fn note(&mut self, one: Result<Outcome, tokio::task::JoinError>) {
        match one {
            Ok((endpoint, cut, result)) => {
                self.cut += cut;
                if let Err(error) = result {
                    tracing::error!(%endpoint, %error, "endpoint failed");
                    self.failed.push((endpoint, error));
                }
            }
            Err(error) => tracing::error!(%error, "a serving loop ended without a word"),
        }
    }
}

/// Serves for ever: [`Server::run_until`] with a shutdown that never comes.
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

/// A server that runs in a task. Dropping it closes everything, without a drain, as soon as the runtime gets to it.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Running {
    endpoints: Vec<Endpoint>,
    stats: Arc<Stats>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<DrainReport>,
}

impl Running {
    /// What was really bound.
    pub fn local_endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        self.stats.snapshot()
    }

    /// Drains and reports.
    ///
    /// # Panics
    /// If the server's task panicked, which no handler can cause.
    ///
    /// # Cancel safety
    /// Dropping it is dropping the server.
    pub async fn stop(mut self) -> DrainReport {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        match (&mut self.task).await {
            Ok(report) => report,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
