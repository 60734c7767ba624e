//! The admin endpoint: metrics, health, status, and a page that shows a server live. `docs/admin.md` describes what it answers.
//!
//! ```
//! use swapwire::admin::{Admin, ServerSource};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = swapwire::server().listen("mem:echo").handler(swapwire::handlers::Echo).bind().await?;
//! let source = ServerSource::new(server.handle());
//! let admin = Admin::new().bind(&swapwire::default_registry(), &"tcp://127.0.0.1:0".parse()?, source).await?.start()?;
//! println!("curl {}/metrics", admin.local_endpoints()[0]);
//! # drop(server);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use swapwire_core::{Settings as _, async_trait};
use swapwire_server::{Limits, ListenerInfo, ServerHandle, Snapshot};

pub use swapwire_admin::{
    Admin, AdminError, BoundAdmin, Count, Drain, ListenerStatus, ReloadError, ReloadStatus, RunningAdmin, Source,
    Status, Traffic,
};

/// What an admin endpoint shows of a server. Clones are of the same.
#[derive(Clone)]
#[must_use = "it is for `Admin::bind`"]
pub struct ServerSource {
    handle: ServerHandle,
    started: Instant,
    limits: Vec<(&'static str, String)>,
    reload: Option<Arc<Reload>>,
    shared: Arc<Shared>,
}

type Reload = dyn Fn() -> Pin<Box<dyn Future<Output = Result<String, String>> + Send>> + Send + Sync;

struct Shared {
    /// The drain begins soon.
    ends: AtomicBool,
    reloads: Mutex<Reloads>,
}

struct Reloads {
    status: ReloadStatus,
    /// When the configuration in use was read, in seconds since 1970.
    read: f64,
}

impl ServerSource {
    /// Shows the server of `handle`, without limits and with nothing to reload.
    pub fn new(handle: ServerHandle) -> Self {
        let reloads = Mutex::new(Reloads { status: ReloadStatus::default(), read: now() });
        let shared = Arc::new(Shared { ends: AtomicBool::new(false), reloads });
        Self { handle, started: Instant::now(), limits: Vec::new(), reload: None, shared }
    }

    /// Shows these limits as well.
    pub fn limits(self, limits: &Limits) -> Self {
        let limits = Limits::FIELDS.iter().filter_map(|field| Some((field.name, limits.get(field.name)?))).collect();
        Self { limits, ..self }
    }

    /// Reloads by `reload`, which says what came of it in one line: nothing was changed, if that is an error. As
    /// [`Source::reload`] is, it is not called again before it has ended, and may be dropped half-way.
    pub fn reload_by<F>(self, reload: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.reloads().status.is_possible = true;
        Self { reload: Some(Arc::new(move || Box::pin(reload()))), ..self }
    }

    /// Says that the drain begins soon: from now on `/readyz` says 503, so that a load balancer sends no more.
    pub fn ends_soon(&self) {
        self.shared.ends.store(true, Relaxed);
    }

    /// Notes what came of a reload that was not asked for here, as by a signal.
    pub fn note_reload(&self, outcome: &Result<String, String>) {
        let mut reloads = self.reloads();
        let status = &mut reloads.status;
        let (count, line) = match outcome {
            Ok(line) => (&mut status.succeeded, line),
            Err(line) => (&mut status.failed, line),
        };
        *count += 1;
        (status.last, status.last_succeeded) = (Some(line.clone()), Some(outcome.is_ok()));
        if outcome.is_ok() {
            reloads.read = now();
        }
    }

    fn reloads(&self) -> MutexGuard<'_, Reloads> {
        self.shared.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_ready(&self, listeners: &[(ListenerInfo, Snapshot)]) -> Option<String> {
        if self.handle.is_draining() {
            return Some("the server drains".to_owned());
        }
        if self.shared.ends.load(Relaxed) {
            return Some("the drain begins soon".to_owned());
        }
        let down: Vec<_> =
            listeners.iter().filter(|(info, _)| !info.is_up).map(|(info, _)| info.name.as_str()).collect();
        (!down.is_empty()).then(|| format!("new peers do not reach {}", down.join(", ")))
    }
}

#[async_trait]
impl Source for ServerSource {
    fn metrics(&self) -> String {
        let mut text = self.handle.prometheus();
        let reloads = self.reloads();
        let ReloadStatus { succeeded, failed, last_succeeded, .. } = &reloads.status;
        let help = "Reloads of the configuration, whatever came of them.";
        text.counter("swapwire_config_reloads_total", help, succeeded + failed);
        let help = "0 if the last reload changed nothing, as something was wrong.";
        text.gauge("swapwire_config_last_reload_successful", help, u8::from(last_succeeded.unwrap_or(true)));
        let help = "When the configuration in use was read, in seconds since 1970.";
        text.gauge("swapwire_config_last_reload_timestamp_seconds", help, reloads.read);
        text.into()
    }

    fn status(&self) -> Status {
        let listeners = self.handle.snapshots();
        let drain = match (self.handle.is_draining(), self.shared.ends.load(Relaxed)) {
            (true, _) => Drain::Running,
            (false, true) => Drain::Delayed,
            (false, false) => Drain::None,
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.started.elapsed(),
            not_ready: self.not_ready(&listeners),
            drain,
            workers: self.handle.worker_snapshots().len() as u64,
            listeners: listeners.into_iter().map(|(info, counted)| listener(info, &counted)).collect(),
            limits: self.limits.clone(),
            reload: self.reloads().status.clone(),
        }
    }

    async fn reload(&self) -> Result<String, ReloadError> {
        let reload = self.reload.as_ref().ok_or(ReloadError::Nothing)?;
        let outcome = reload().await;
        self.note_reload(&outcome);
        outcome.map_err(ReloadError::Failed)
    }
}

fn listener(info: ListenerInfo, counted: &Snapshot) -> ListenerStatus {
    ListenerStatus {
        name: info.name,
        transport: info.transport,
        endpoints: info.endpoints.iter().map(ToString::to_string).collect(),
        is_healthy: info.is_up,
        sessions_open: counted.open(),
        sessions: counted.sessions,
        received: Traffic { messages: counted.messages, bytes: counted.received_bytes },
        sent: Traffic { messages: counted.messages_sent, bytes: counted.sent_bytes },
        dropped: [
            counted.dropped_requests,
            counted.truncated,
            counted.throttled,
            counted.overflows,
            counted.dropped_replies,
            counted.withheld_replies,
            counted.failed_replies,
            counted.cut_replies,
        ]
        .iter()
        .sum(),
        refused: counted.refused,
        errors: counted.handler_errors + counted.panics,
        counters: counted.iter().map(|counter| (counter.name, counter.value)).collect(),
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl fmt::Debug for ServerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerSource").field(&self.handle).finish()
    }
}
