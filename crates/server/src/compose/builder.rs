//! Composing a server.

use std::fmt;
use std::sync::Arc;

use swapwire_core::{BindError, Bound, Framing, Registry, Shape, Transport};

use super::listen::Listen;
use crate::accept::framed;
use crate::limits::can_flood;
use crate::runtime::{MOST_WORKERS, Route, Served};
use crate::{BuildError, BuildProblem, IntoService, Limits, Server, Service, WhenFull};

/// Composes a server: endpoints, handlers, framing, limits. [`bind`](Self::bind) makes it.
///
/// Mistakes are collected and reported together by `bind`.
#[must_use = "a builder does nothing before `bind`"]
#[derive(Default)]
pub struct ServerBuilder {
    registry: Registry,
    listens: Vec<Listen>,
    service: Option<Arc<dyn Service>>,
    framing: Option<Framing>,
    limits: Limits,
    amplification: bool,
    workers: Option<usize>,
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
        self.registry = registry;
        self
    }

    /// Adds one transport to the registry.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.registry.register(transport);
        self
    }

    /// Listens on an endpoint: a text, an [`Endpoint`](swapwire_core::Endpoint), or a [`Listen`] with a handler or a framing
    /// of its own. Of a host name, all addresses are served ([`Transport::bind_all`]).
    pub fn listen(mut self, listen: impl Into<Listen>) -> Self {
        self.listens.push(listen.into());
        self
    }

    /// The handler of all endpoints that have none of their own.
    pub fn handler<K>(mut self, handler: impl IntoService<K>) -> Self {
        self.service = Some(handler.into_service());
        self
    }

    /// The framing of all byte streams that have none of their own. Default: chunks. Wires with boundaries ignore it, but for the
    /// ends of [lines](Framing::Lines).
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = Some(framing);
        self
    }

    /// Bounds and deadlines.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
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
        self.workers = Some(workers);
        self
    }

    /// Allows handlers that [amplify](swapwire_core::HandlerProperties::amplifies) on wires that other hosts reach and whose senders
    /// can be forged. Off by default: an attacker can use such a server to flood a third host.
    pub fn allow_amplification(mut self, allow: bool) -> Self {
        self.amplification = allow;
        self
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
        let limits = self.limits.problems().into_iter();
        let mut problems: Vec<_> = limits.map(|(name, reason)| BuildProblem::Limit { name, reason }).collect();
        let mut checked = Vec::new();
        if let Some(workers) = self.workers.filter(|workers| !(1..=MOST_WORKERS).contains(workers)) {
            problems.push(BuildProblem::Workers { workers });
        }
        if self.listens.is_empty() {
            problems.push(BuildProblem::NoEndpoint);
        }
        for listen in self.listens {
            let endpoint = match listen.endpoint {
                Ok(endpoint) => endpoint,
                Err(error) => {
                    problems.push(BuildProblem::Endpoint(self.registry.explain(error)));
                    continue;
                }
            };
            let framing = listen.framing.or_else(|| self.framing.clone()).unwrap_or(Framing::Chunks);
            let Some(service) = listen.service.or_else(|| self.service.clone()) else {
                problems.push(BuildProblem::NoHandler { endpoint });
                continue;
            };
            let capabilities = match self.registry.transport(&endpoint) {
                Ok(transport) => transport.capabilities(endpoint.scheme()),
                Err(source) => {
                    problems.push(BuildProblem::Bind(BindError::Registry { endpoint, source }));
                    continue;
                }
            };
            if capabilities.shape == Shape::ByteStream
                && let WhenFull::Refuse(farewell) = &self.limits.when_full
                && let Err(source) = framed(farewell, &framing)
            {
                problems.push(BuildProblem::Refusal { endpoint, source });
                continue;
            }
            match service.check(&capabilities, &framing) {
                Ok(()) => checked.push((endpoint, service, framing, capabilities)),
                Err(reason) => {
                    let unframed = capabilities.shape == Shape::ByteStream && !framing.boundaries();
                    problems.push(match unframed {
                        true => BuildProblem::NoFraming { endpoint, reason },
                        false => BuildProblem::Handler { endpoint, reason },
                    });
                }
            }
        }
        if !problems.is_empty() {
            return Err(BuildError::new(problems));
        }
        let mut served = Vec::new();
        'endpoints: for (endpoint, service, framing, capabilities) in checked {
            let groups = match self.registry.bind_all(&endpoint, self.workers.unwrap_or(1)).await {
                Ok(groups) => groups,
                Err(error) => {
                    problems.push(BuildProblem::Bind(error));
                    continue;
                }
            };
            let before = served.len();
            for members in groups {
                let Some(first) = members.first() else { continue };
                if let Bound::Socket(socket) = first
                    && service.amplifies()
                    && !self.amplification
                    && can_flood(&capabilities, socket.local_addr())
                {
                    problems.push(BuildProblem::Amplification { endpoint });
                    continue 'endpoints;
                }
                let (service, framing) = (Arc::clone(&service), framing.clone());
                let (local, dial) = (first.local(), first.dial());
                let route = Arc::new(Route { local, dial, service, framing, capabilities });
                served.push(Served { members, route });
            }
            if served.len() == before {
                problems.push(BuildProblem::Bind(BindError::invalid(&endpoint, "its transport bound nothing")));
            }
        }
        if !problems.is_empty() {
            return Err(BuildError::new(problems));
        }
        Server::new(served, self.limits, self.workers)
            .map_err(|error| BuildError::new(vec![BuildProblem::Worker(error)]))
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.listens.iter().map(|listen| &listen.endpoint)).finish()
    }
}
