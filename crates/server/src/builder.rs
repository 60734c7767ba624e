//! Composing a server.

use std::fmt;
use std::sync::Arc;

use swapwire_core::{Framing, Registry, Transport};

use crate::compose::{Common, MOST_WORKERS, Planned};
use crate::{BuildError, BuildProblem, IntoService, Limits, Listen, Server};

/// Composes a server: endpoints, handlers, framing, limits. [`bind`](Self::bind) makes it.
///
/// Mistakes are collected and reported together by `bind`.
#[must_use = "a builder does nothing before `bind`"]
#[derive(Default)]
pub struct ServerBuilder {
    common: Common,
    listens: Vec<Listen>,
}

impl Server {
    /// Starts composing one.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }
}

impl ServerBuilder {
    /// The transports to choose from by scheme; replaces an earlier registry.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.common.registry = registry;
        self
    }

    /// Adds one transport to the registry.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.common.registry.register(transport);
        self
    }

    /// Listens on an endpoint: a text, an [`Endpoint`](swapwire_core::Endpoint), or a [`Listen`] with a handler, a framing or
    /// limits of its own. Of a host name, all addresses are served ([`Transport::bind_all`]).
    pub fn listen(mut self, listen: impl Into<Listen>) -> Self {
        self.listens.push(listen.into());
        self
    }

    /// The handler of all endpoints that have none of their own.
    pub fn handler<K>(mut self, handler: impl IntoService<K>) -> Self {
        self.common.service = Some(handler.into_service());
        self
    }

    /// The framing of all byte streams that have none of their own. Default: chunks. Wires with boundaries ignore it, but for the
    /// ends of [lines](Framing::Lines).
    pub fn framing(mut self, framing: Framing) -> Self {
        self.common.framing = Some(framing);
        self
    }

    /// Bounds and deadlines.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.common.limits = Arc::new(limits);
        self
    }

    /// Serves on `workers` threads, from 1 to 1,024, with a single-threaded runtime each, rather than on the caller's
    /// runtime. One for each processor serves the most, with the shortest tails.
    ///
    /// * Every endpoint is bound once for each worker, as one group ([`Transport::bind_group`]), and the system or the server
    ///   spreads its peers. One that its transport binds only once is served by one of the workers; they are spread.
    /// * A session, or a datagram, stays with its worker. [`Limits::max_connections`] is for all workers together; what
    ///   [`Limits`] sets for one datagram socket holds for each member of its group.
    /// * What a handler starts with `tokio::spawn` runs on its worker's runtime, and is cut when that worker ends. A handler
    ///   that blocks its thread stalls all that this worker serves.
    /// * The drain is one for all: a group closes together, when nothing comes to any of its members.
    ///
    /// A worker that would have nothing to serve is not started.
    pub fn workers(mut self, workers: usize) -> Self {
        self.common.workers = Some(workers);
        self
    }

    /// Allows handlers that [amplify](swapwire_core::HandlerProperties::amplifies) on wires that other hosts reach and whose senders
    /// can be forged. Off by default: an attacker can use such a server to flood a third host.
    pub fn allow_amplification(mut self, allow: bool) -> Self {
        self.common.amplification = allow;
        self
    }

    /// Whether [`bind`](Self::bind) would bind, as far as that shows without binding: what endpoints name is looked up and read
    /// ([`Transport::check`]). What is in use is not found.
    ///
    /// # Errors
    /// Everything that is wrong with the composition at once; then every endpoint that could not be bound.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing behind.
    pub async fn check(&self) -> Result<(), BuildError> {
        let mut problems = Vec::new();
        for one in self.plan()? {
            problems.extend(self.common.check(&one).await.err());
        }
        if problems.is_empty() { Ok(()) } else { Err(BuildError::new(problems)) }
    }

    fn plan(&self) -> Result<Vec<Planned>, BuildError> {
        let limits = self.common.limits.problems().into_iter();
        let mut problems: Vec<_> = limits.map(|(name, reason)| BuildProblem::Limit { name, reason }).collect();
        if let Some(workers) = self.common.workers.filter(|workers| !(1..=MOST_WORKERS).contains(workers)) {
            problems.push(BuildProblem::Workers { workers });
        }
        let planned = self.common.plan(self.listens.clone()).unwrap_or_else(|found| {
            problems.extend(found);
            Vec::new()
        });
        if problems.is_empty() { Ok(planned) } else { Err(BuildError::new(problems)) }
    }

    /// Binds every endpoint. Nothing is served yet; connections wait in the system's queues.
    ///
    /// # Errors
    /// Everything that is wrong with the composition at once, before anything is bound; then every endpoint that cannot be
    /// bound, or the first worker whose runtime cannot be made. Nothing stays bound.
    ///
    /// # Cancel safety
    /// Dropping it leaves nothing bound.
    pub async fn bind(self) -> Result<Server, BuildError> {
        let (mut bound, mut problems) = (Vec::new(), Vec::new());
        // All that cannot be bound is told together.
        for one in self.plan()? {
            match self.common.bind(&one).await {
                Ok(places) => bound.push((one, places)),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(BuildError::new(problems));
        }
        Server::new(bound, self.common).map_err(|error| BuildError::new(vec![BuildProblem::Worker(error)]))
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.listens.iter().map(|listen| &listen.endpoint)).finish()
    }
}
