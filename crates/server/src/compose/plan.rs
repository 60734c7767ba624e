//! What all listeners of a server have in common, and what becomes of one of them: checked, then bound.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use swapwire_core::{
    Addr, BindError, Bound, Capabilities, Endpoint, Framing, Place, Registry, Settings as _, Shape, Transport,
};

use super::listen::Listen;
use crate::accept::framed;
use crate::limits::can_flood;
use crate::metrics::ListenerStats;
use crate::runtime::{Route, Served};
use crate::{BuildProblem, Limits, ListenerInfo, Service, WhenFull};

/// What a listener has that has nothing of its own, and what is not of one listener.
#[derive(Default)]
pub(crate) struct Common {
    pub(super) registry: Registry,
    pub(super) service: Option<Arc<dyn Service>>,
    pub(super) framing: Option<Framing>,
    pub(super) limits: Arc<Limits>,
    pub(super) amplification: bool,
    pub(super) workers: Option<usize>,
}

/// A listener that can be bound, as far as is known before.
pub(crate) struct Planned {
    name: String,
    endpoint: Endpoint,
    transport: Arc<dyn Transport>,
    service: Arc<dyn Service>,
    framing: Framing,
    limits: Arc<Limits>,
    capabilities: Capabilities,
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
        let is_stream = capabilities.shape == Shape::ByteStream;
        if is_stream
            && let WhenFull::Refuse(farewell) = &limits.when_full
            && let Err(source) = framed(farewell, &framing)
        {
            return Err(vec![BuildProblem::Refusal { endpoint, source }]);
        }
        match service.check(&capabilities, &framing) {
            Ok(()) => {
                let name = listen.name.unwrap_or_else(|| endpoint.clone().without_options().to_string());
                Ok(Planned { name, endpoint, transport, service, framing, limits, capabilities })
            }
            Err(reason) if is_stream && !framing.boundaries() => {
                Err(vec![BuildProblem::NoFraming { endpoint, reason }])
            }
            Err(reason) => Err(vec![BuildProblem::Handler { endpoint, reason }]),
        }
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

    /// Checks one listener further than [`plan`](Self::plan): what its endpoint names.
    ///
    /// # Errors
    /// It could not be bound, or must not be served there.
    pub(crate) async fn check(&self, planned: &Planned) -> Result<(), BuildProblem> {
        let Planned { endpoint, transport, service, capabilities, .. } = planned;
        transport.check(endpoint).await.map_err(BuildProblem::Bind)?;
        let addr = match endpoint.place() {
            Place::Host { host, port } => host.parse().ok().map(|ip: IpAddr| Addr::Inet((ip, *port).into())),
            _ => None,
        };
        if self.forbids(&**service, capabilities, addr) && addr.is_some() {
            return Err(BuildProblem::Amplification { endpoint: endpoint.clone() });
        }
        Ok(())
    }

    /// Whether this service must not be served at `addr`.
    fn forbids(&self, service: &dyn Service, capabilities: &Capabilities, addr: Option<Addr>) -> bool {
        service.amplifies() && !self.amplification && can_flood(capabilities, addr)
    }

    /// Binds one listener: one group for each place that it names, at least one.
    ///
    /// # Errors
    /// It cannot be bound, or must not be served there; nothing stays bound.
    pub(crate) async fn bind(&self, planned: Planned) -> Result<Vec<Served>, BuildProblem> {
        let Planned { name, endpoint, transport, service, framing, limits, capabilities } = planned;
        let workers = self.workers.unwrap_or(1);
        let groups = transport.bind_all(&endpoint, workers).await.map_err(BuildProblem::Bind)?;
        let info = ListenerInfo {
            name,
            transport: endpoint.scheme().to_owned(),
            endpoints: groups.iter().filter_map(|members| members.first()).map(Bound::dial).collect(),
            shape: capabilities.shape,
            limits: Arc::clone(&limits),
            sockets: groups.iter().map(Vec::len).sum(),
            is_up: false,
        };
        let stats = Arc::new(ListenerStats::new(info, workers));
        let mut served = Vec::new();
        for members in groups {
            let Some(first) = members.first() else { continue };
            if let Bound::Socket(socket) = first
                && self.forbids(&*service, &capabilities, socket.local_addr())
            {
                return Err(BuildProblem::Amplification { endpoint });
            }
            let (service, framing) = (Arc::clone(&service), framing.clone());
            let (limits, stats) = (Arc::clone(&limits), Arc::clone(&stats));
            let (local, dial) = (first.local(), first.dial());
            let route = Arc::new(Route { local, dial, service, framing, limits, capabilities, stats });
            served.push(Served { members, route });
        }
        if served.is_empty() {
            return Err(BuildProblem::Bind(BindError::invalid(&endpoint, "its transport bound nothing")));
        }
        Ok(served)
    }
}
