//! Composing a server.

use std::fmt;
use std::sync::Arc;

use swapwire_core::{BindError, Bound, Endpoint, EndpointError, Framing, Registry, Shape, Transport};

use super::build_error::{AMPLIFICATION, FRAMING, HANDLER, Problem, REFUSAL};
use crate::accept::framed;
use crate::limits::can_flood;
use crate::runtime::{MOST_WORKERS, Route, Served};
use crate::{BuildError, IntoService, Limits, Server, Service, WhenFull};

/// Composes a server: endpoints, handlers, framing, limits. [`bind`](Self::bind) makes it.
///
/// Mistakes are collected and reported together by `bind`.
#[must_use = "a builder does nothing before `bind`"]
#[derive(Default)]
pub struct ServerBuilder {
    registry: Registry,
    routes: Vec<Listen>,
    service: Option<Arc<dyn Service>>,
    framing: Option<Framing>,
    limits: Limits,
    amplification: bool,
    workers: Option<usize>,
}

struct Listen {
    endpoint: Result<Endpoint, EndpointError>,
    service: Option<Arc<dyn Service>>,
    framing: Option<Framing>,
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

    /// Serves the server's handler on `endpoint`: a text or an [`Endpoint`]. Of a host name, all addresses are served
    /// ([`Transport::bind_all`]).
    pub fn listen<E: TryInto<Endpoint, Error: Into<EndpointError>>>(mut self, endpoint: E) -> Self {
        self.routes.push(Listen { endpoint: endpoint.try_into().map_err(Into::into), service: None, framing: None });
        self
    }

    /// Serves a handler of its own on `endpoint`.
    pub fn listen_with<E, K>(mut self, endpoint: E, handler: impl IntoService<K>) -> Self
    where
        E: TryInto<Endpoint, Error: Into<EndpointError>>,
    {
        let service = Some(handler.into_service());
        self.routes.push(Listen { endpoint: endpoint.try_into().map_err(Into::into), service, framing: None });
        self
    }

    /// Gives the endpoint that was added last a framing of its own.
    pub fn framed(mut self, framing: Framing) -> Self {
        if let Some(route) = self.routes.last_mut() {
            route.framing = Some(framing);
        }
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

    /// Allows handlers that [amplify](swapwire_core::Handler::amplifies) on wires that other hosts reach and whose senders
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
        let mut problems: Vec<Problem> =
            self.limits.problems().into_iter().map(|(name, reason)| Problem::Limits { name, reason }).collect();
        let mut checked = Vec::new();
        if self.workers.is_some_and(|workers| !(1..=MOST_WORKERS).contains(&workers)) {
            problems.push(Problem::Workers);
        }
        if self.routes.is_empty() {
            problems.push(Problem::NoEndpoint);
        }
        for route in self.routes {
            let endpoint = match route.endpoint {
                Ok(endpoint) => endpoint,
                Err(error) => {
                    problems.push(Problem::Endpoint(self.registry.explain(error)));
                    continue;
                }
            };
            let framing = route.framing.or_else(|| self.framing.clone()).unwrap_or(Framing::Chunks);
            let Some(service) = route.service.or_else(|| self.service.clone()) else {
                problems.push(Problem::Composition { endpoint, reason: "no handler".to_owned(), cure: HANDLER });
                continue;
            };
            let capabilities = match self.registry.transport(&endpoint) {
                Ok(transport) => transport.capabilities(endpoint.scheme()),
                Err(source) => {
                    problems.push(Problem::Bind(BindError::Registry { endpoint, source }));
                    continue;
                }
            };
            if capabilities.shape == Shape::ByteStream
                && let WhenFull::Refuse(farewell) = &self.limits.when_full
                && let Err(error) = framed(farewell, &framing)
            {
                let reason = format!("the text for connections that are refused: {error}");
                problems.push(Problem::Composition { endpoint, reason, cure: REFUSAL });
                continue;
            }
            match service.check(&capabilities, &framing) {
                Ok(()) => checked.push((endpoint, service, framing, capabilities)),
                Err(reason) => {
                    let unframed = capabilities.shape == Shape::ByteStream && !framing.boundaries();
                    problems.push(Problem::Composition { endpoint, reason, cure: if unframed { FRAMING } else { "" } });
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
                    problems.push(Problem::Bind(error));
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
                    let reason = "this handler answers with more than it is asked, and forged senders could turn it \
                                  against others: bind it to a loopback address, or allow amplification";
                    let endpoint = endpoint.clone();
                    problems.push(Problem::Composition { endpoint, reason: reason.to_owned(), cure: AMPLIFICATION });
                    continue 'endpoints;
                }
                let (local, service, framing) = (first.local(), Arc::clone(&service), framing.clone());
                let route = Arc::new(Route { local, service, framing, capabilities });
                served.push(Served { members, route });
            }
            if served.len() == before {
                problems.push(Problem::Bind(BindError::invalid(&endpoint, "its transport bound nothing")));
            }
        }
        if !problems.is_empty() {
            return Err(BuildError::new(problems));
        }
        Server::new(served, self.limits, self.workers).map_err(|error| BuildError::new(vec![Problem::Worker(error)]))
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|route| &route.endpoint)).finish()
    }
}
