//! What a law is given.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swapwire_core::{Bound, Capabilities, Endpoint, Listener, Registry, RegistryError, Shape, Transport};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use crate::Stop;
use crate::stop::panic_text;

/// Makes of one endpoint another.
type Rewrite = Arc<dyn Fn(Endpoint) -> Endpoint + Send + Sync>;

/// What a law is given: the transport under test, and a source of endpoints that can be bound.
///
/// Dropping it stops whatever a law left running.
pub struct Context {
    registry: Registry,
    fresh: Box<dyn Fn() -> Endpoint + Send + Sync>,
    dial: Rewrite,
    capabilities: Capabilities,
    passed: bool,
    step: Mutex<String>,
    background: Mutex<JoinSet<()>>,
    complaint: Arc<Complaint>,
}

impl Context {
    /// A context for the transport that `registry` holds for the scheme of `fresh`'s endpoints; see
    /// [`Suite::new`](crate::Suite::new).
    ///
    /// # Errors
    /// The registry does not know the scheme.
    pub fn new(
        registry: Registry,
        fresh: impl Fn() -> Endpoint + Send + Sync + 'static,
    ) -> Result<Self, RegistryError> {
        let endpoint = fresh();
        let capabilities = registry.transport(&endpoint)?.capabilities(endpoint.scheme());
        Ok(Self {
            registry,
            fresh: Box::new(fresh),
            dial: Arc::new(|dial| dial),
            capabilities,
            passed: false,
            step: Mutex::default(),
            background: Mutex::default(),
            complaint: Arc::default(),
        })
    }

    /// The registry with the transport under test.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// An endpoint that was not bound before.
    pub fn fresh(&self) -> Endpoint {
        (self.fresh)()
    }

    /// The same context, whose clients dial what `dial` makes of what a listener or socket says; see
    /// [`Suite::dial_with`](crate::Suite::dial_with).
    #[must_use]
    pub fn dial_with(mut self, dial: impl Fn(Endpoint) -> Endpoint + Send + Sync + 'static) -> Self {
        self.dial = Arc::new(dial);
        self
    }

    /// The same context, whose endpoints name sockets that another program opened; see
    /// [`Suite::passed_sockets`](crate::Suite::passed_sockets).
    #[must_use]
    pub const fn passed_sockets(mut self, passed: bool) -> Self {
        self.passed = passed;
        self
    }

    /// Whether endpoints name sockets that another program opened.
    pub(crate) const fn is_passed(&self) -> bool {
        self.passed
    }

    /// Skips the law unless the socket is opened by the bind.
    pub(crate) fn needs_own_socket(&self, reason: &str) -> Result<(), Stop> {
        self.needs(!self.passed, &format!("another program holds the socket: {reason}"))
    }

    /// What a client dials to reach `bound`.
    pub(crate) fn dial(&self, bound: &Bound) -> Endpoint {
        (self.dial)(bound.dial())
    }

    /// What a client dials to reach `listener`.
    pub(crate) fn dial_listener(&self, listener: &dyn Listener) -> Endpoint {
        (self.dial)(listener.dial())
    }

    /// What binds again where `bound` is: its place, with the options of a fresh endpoint.
    pub(crate) fn rebind(&self, bound: &Bound) -> Endpoint {
        let options = self.fresh();
        let local = bound.local();
        // What the place itself has, as a path, stays.
        let missing = options.options().iter().filter(|(name, _)| local.option(name).is_none());
        missing.fold(local.clone(), |local, (name, value)| local.with_option(name, value))
    }

    /// What the transport says that its wires can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The transport of `endpoint`, not hidden behind the registry.
    pub(crate) fn transport(&self, endpoint: &Endpoint) -> Result<Arc<dyn Transport>, Stop> {
        self.registry.transport(endpoint).map_err(|error| Stop::broken(error.to_string()))
    }

    pub(crate) fn is_datagram(&self) -> bool {
        matches!(self.capabilities.shape, Shape::Datagram)
    }

    /// Skips the law unless the shape has connections.
    pub(crate) fn needs_connections(&self) -> Result<(), Stop> {
        self.needs(!self.is_datagram(), "datagrams have no connections")
    }

    /// Skips the law unless the shape is datagrams.
    pub(crate) fn needs_datagrams(&self) -> Result<(), Stop> {
        self.needs(self.is_datagram(), "for datagrams only")
    }

    /// Skips the law with `reason` unless `capable`.
    pub(crate) fn needs(&self, capable: bool, reason: &str) -> Result<(), Stop> {
        if capable { Ok(()) } else { Err(Stop::skipped(reason)) }
    }

    /// Notes what the law does next, for the text of a law that hangs.
    pub(crate) fn step(&self, step: impl Into<String>) {
        *lock(&self.step) = step.into();
    }

    pub(crate) fn last_step(&self) -> String {
        lock(&self.step).clone()
    }

    /// Runs `task` beside the law until the law ends. If it fails, the law is broken.
    pub(crate) fn background(&self, task: impl Future<Output = Result<(), Stop>> + Send + 'static) {
        let complaint = Arc::clone(&self.complaint);
        let task = spawn("a background task", task);
        lock(&self.background).spawn(async move {
            if let Err(Stop::Broken(why) | Stop::Skipped(why)) = task.join().await {
                complaint.make(why);
            }
        });
    }

    /// Waits until a background task fails.
    pub(crate) async fn complaint(&self) -> String {
        loop {
            if let Some(why) = lock(&self.complaint.why).take() {
                return why;
            }
            self.complaint.made.notified().await;
        }
    }

    /// Ends the background tasks and waits until they are gone.
    pub(crate) async fn close(self) {
        let mut background = std::mem::take(&mut *lock(&self.background));
        background.shutdown().await;
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("registry", &self.registry)
            .field("capabilities", &self.capabilities)
            .field("step", &self.last_step())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Complaint {
    why: Mutex<Option<String>>,
    made: Notify,
}

impl Complaint {
    fn make(&self, why: String) {
        lock(&self.why).get_or_insert(why);
        self.made.notify_one();
    }
}

/// A spawned task; dropping it stops the task.
#[must_use = "dropping a task stops it"]
pub(crate) struct Task<T> {
    what: &'static str,
    handle: JoinHandle<Result<T, Stop>>,
}

/// Spawns a task. Sides of a law that run at the same time are tasks, not branches of one future: then a wake-up that a
/// transport forgets is not made up for by the other side's.
pub(crate) fn spawn<T: Send + 'static>(
    what: &'static str,
    task: impl Future<Output = Result<T, Stop>> + Send + 'static,
) -> Task<T> {
    Task { what, handle: tokio::spawn(task) }
}

impl<T> Task<T> {
    /// Waits for its result.
    pub(crate) async fn join(mut self) -> Result<T, Stop> {
        match (&mut self.handle).await {
            Ok(result) => result,
            Err(error) => Err(Stop::Broken(match error.try_into_panic() {
                Ok(panic) => format!("{} panicked: {}", self.what, panic_text(&*panic)),
                Err(error) => format!("{}: {error}", self.what),
            })),
        }
    }

    /// Stops it and waits until it is gone, with everything it owned.
    pub(crate) async fn stop(mut self) {
        self.handle.abort();
        let _ = (&mut self.handle).await;
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
