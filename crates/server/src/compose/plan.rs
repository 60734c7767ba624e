//! What all listeners of a server have in common, and whether one of them can be bound.

use std::collections::HashSet;
use std::sync::Arc;

use swapwire_core::{BindError, Capabilities, Endpoint, Framing, Registry, Settings as _, Shape, Transport};

use super::listen::Listen;
use crate::accept::framed;
use crate::{BuildProblem, Limits, ListenerInfo, Service, WhenFull};

/// What a listener has that has nothing of its own, and what is not of one listener.
#[derive(Default)]
pub(crate) struct Common {
    pub(crate) registry: Registry,
    pub(crate) service: Option<Arc<dyn Service>>,
    pub(crate) framing: Option<Framing>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) amplification: bool,
    pub(crate) workers: Option<usize>,
}

/// A listener that can be bound, as far as is known before.
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) transport: Arc<dyn Transport>,
    /// Whether the transport is of the listener's own registry.
    pub(crate) is_own_transport: bool,
    /// What is bound for it.
    pub(crate) base: Endpoint,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) framing: Framing,
    pub(crate) limits: Arc<Limits>,
    pub(crate) capabilities: Capabilities,
}

impl Common {
    /// Checks listeners, without binding.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn plan(&self, listens: Vec<Listen>) -> Result<Vec<Planned>, Vec<BuildProblem>> {
        let (mut planned, mut problems, mut names) = (Vec::new(), Vec::new(), HashSet::new());
        if listens.is_empty() {
            problems.push(BuildProblem::NoEndpoint);
        }
        for listen in listens {
            if let Some(name) = &listen.name {
                let is_text = !name.is_empty() && name.len() <= 255 && !name.contains(char::is_control);
                if !is_text || !names.insert(name.clone()) {
                    problems.push(BuildProblem::Name { name: name.clone() });
                }
            }
            match self.plan_one(listen) {
                Ok(one) => planned.push(one),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(planned) } else { Err(problems) }
    }

    fn plan_one(&self, listen: Listen) -> Result<Planned, Vec<BuildProblem>> {
        let registry = listen.registry.as_ref().unwrap_or(&self.registry);
        let endpoint = listen.endpoint.map_err(|error| vec![BuildProblem::Endpoint(registry.explain(error))])?;
        let limits = match &listen.limits {
            Some(adjust) => self.adjusted(adjust(Limits::clone(&self.limits)), &endpoint)?,
            None => Arc::clone(&self.limits),
        };
        let framing = listen.framing.or_else(|| self.framing.clone()).unwrap_or(Framing::Chunks);
        let Some(service) = listen.service.or_else(|| self.service.clone()) else {
            return Err(vec![BuildProblem::NoHandler { endpoint }]);
        };
        let transport = match registry.transport(&endpoint) {
            Ok(transport) => transport,
            Err(source) => return Err(vec![BuildProblem::Bind(BindError::Registry { endpoint, source })]),
        };
        let capabilities = transport.capabilities(endpoint.scheme());
        let limits = if capabilities.stable_peers { limits } else { self.without_sources(limits, &endpoint)? };
        let is_stream = capabilities.shape == Shape::ByteStream;
        if is_stream
            && let WhenFull::Refuse(farewell) = &limits.when_full
            && let Err(source) = framed(farewell, &framing)
        {
            return Err(vec![BuildProblem::Refusal { endpoint, source }]);
        }
        match service.check(&capabilities, &framing) {
            Ok(()) => {
                let name = listen.name.unwrap_or_else(|| endpoint.clone().without_query().to_string());
                let base = transport.base(&endpoint);
                let is_own_transport = listen.registry.is_some();
                Ok(Planned {
                    name,
                    endpoint,
                    transport,
                    is_own_transport,
                    base,
                    service,
                    framing,
                    limits,
                    capabilities,
                })
            }
            Err(reason) if is_stream && !framing.boundaries() => {
                Err(vec![BuildProblem::NoFraming { endpoint, reason }])
            }
            Err(reason) => Err(vec![BuildProblem::Handler { endpoint, reason }]),
        }
    }

    /// The limits of a listener without sources: those of the server are for the others.
    fn without_sources(&self, limits: Arc<Limits>, endpoint: &Endpoint) -> Result<Arc<Limits>, Vec<BuildProblem>> {
        let own = Limits::OF_SOURCES.iter().filter(|name| limits.get(name) != self.limits.get(name));
        let found: Vec<_> = own
            .map(|&name| {
                let reason = format!("limits each source, and {} has none: leave it out", endpoint.scheme());
                BuildProblem::ListenerLimit { endpoint: endpoint.clone(), name, reason }
            })
            .collect();
        let limits = Limits { max_per_source: None, source_rate: None, ..Limits::clone(&limits) };
        if found.is_empty() { Ok(Arc::new(limits)) } else { Err(found) }
    }

    /// The limits of one listener, if they make sense and those of the whole server are as they were.
    fn adjusted(&self, limits: Limits, endpoint: &Endpoint) -> Result<Arc<Limits>, Vec<BuildProblem>> {
        let shared = Limits::OF_THE_SERVER.iter().filter(|name| limits.get(name) != self.limits.get(name));
        let shared = shared.map(|name| (*name, "is for the whole server, not for one listener".to_owned()));
        // What is wrong with the server's is told there.
        let of_the_server = self.limits.problems();
        let own = limits.problems().into_iter().filter(|problem| !of_the_server.contains(problem));
        let found = own.chain(shared);
        let found =
            found.map(|(name, reason)| BuildProblem::ListenerLimit { endpoint: endpoint.clone(), name, reason });
        let found: Vec<_> = found.collect();
        if found.is_empty() { Ok(Arc::new(limits)) } else { Err(found) }
    }
}

impl Planned {
    /// What it is as a listener with so many sockets at these endpoints.
    pub(crate) fn info(&self, endpoints: Vec<Endpoint>, sockets: usize) -> ListenerInfo {
        ListenerInfo {
            name: self.name.clone(),
            transport: self.endpoint.scheme().to_owned(),
            endpoints,
            shape: self.capabilities.shape,
            limits: Arc::clone(&self.limits),
            sockets,
            is_up: false,
        }
    }
}
