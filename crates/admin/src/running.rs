//! A bound endpoint, and its thread.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use swapwire_core::{BindError, Endpoint, Listener, debug_as_text};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::access::Reach;
use crate::listening::listen;
use crate::readers::Readers;
use crate::routes::Routes;

debug_as_text!(AdminError);

/// Why an admin endpoint does not run.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// It cannot be bound.
    #[error("admin: {0}")]
    Bind(#[from] BindError),
    /// It must not be there.
    #[error("admin: bind {endpoint}: {reason}")]
    Refused {
        /// What was to be bound.
        endpoint: Endpoint,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Its thread cannot be started.
    #[error("admin: start a thread: {0}")]
    Thread(io::Error),
}

impl AdminError {
    pub(crate) fn refused(endpoint: &Endpoint, reason: impl Into<String>) -> Self {
        Self::Refused { endpoint: endpoint.clone(), reason: reason.into() }
    }

    /// Whether what was asked for is wrong, rather than what the system made of it.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Bind(error) => error.class() == swapwire_core::ErrorClass::Configuration,
            Self::Refused { .. } => true,
            Self::Thread(_) => false,
        }
    }
}

/// An admin endpoint that is bound; nobody is answered yet.
#[derive(Debug)]
#[must_use = "it answers nobody before it is started"]
pub struct BoundAdmin {
    locals: Vec<Endpoint>,
    service: AdminService,
}

/// What runs.
pub(crate) struct AdminService {
    listeners: Vec<(Box<dyn Listener>, Reach)>,
    routes: Arc<Routes>,
}

impl AdminService {
    /// Answers for ever, or until no listener is left.
    pub(crate) async fn run(self) {
        let readers = Arc::new(Readers::new(self.routes));
        let mut loops = JoinSet::new();
        for (listener, reach) in self.listeners {
            loops.spawn(listen(listener, reach, Arc::clone(&readers)));
        }
        while loops.join_next().await.is_some() {}
    }
}

impl std::fmt::Debug for AdminService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminService").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl BoundAdmin {
    pub(crate) fn new(listeners: Vec<(Box<dyn Listener>, Reach)>, routes: Arc<Routes>) -> Self {
        let locals = listeners.iter().map(|(listener, _)| listener.dial()).collect();
        Self { locals, service: AdminService { listeners, routes } }
    }

    /// What was really bound, one for each address of a host name.
    pub fn local_endpoints(&self) -> &[Endpoint] {
        &self.locals
    }

    /// Answers from now on, on a thread of its own.
    ///
    /// # Errors
    /// The system has no thread, or no descriptors for its runtime. Nothing stays bound.
    pub fn start(self) -> Result<RunningAdmin, AdminError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(AdminError::Thread)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let service = self.service;
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = service.run() => {}
                }
            });
        };
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(run).map_err(AdminError::Thread)?;
        Ok(RunningAdmin { locals: self.locals, stop: Some(stop), thread: Some(thread) })
    }

    #[cfg(test)]
    pub(crate) fn into_service(self) -> AdminService {
        self.service
    }
}

/// An admin endpoint that answers. Dropping it closes it at once, and waits for its thread: as long as a call of its
/// [`Source`](crate::Source) takes.
#[derive(Debug)]
#[must_use = "dropping it closes the endpoint"]
pub struct RunningAdmin {
    locals: Vec<Endpoint>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RunningAdmin {
    /// What was really bound, one for each address of a host name.
    pub fn local_endpoints(&self) -> &[Endpoint] {
        &self.locals
    }
}

impl Drop for RunningAdmin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // What panicked there was told by the panic.
            let _ = thread.join();
        }
    }
}
