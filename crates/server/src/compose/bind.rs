//! Binding one listener.

use std::net::IpAddr;

use swapwire_core::{Addr, BindError, Bound, Endpoint, Place, Shape, WireLayers};

use super::plan::{Common, Planned};
use crate::limits::can_flood;
use crate::{BuildProblem, ListenerInfo};

/// All that is bound at one place: one, or a group for several workers.
pub(crate) struct BoundPlace {
    pub(crate) members: Vec<Bound>,
    pub(crate) reloads: bool,
    pub(crate) base: PlaceBase,
}

/// What a place is without the layers over it.
#[derive(Clone)]
pub(crate) struct PlaceBase {
    pub(crate) local: Endpoint,
    pub(crate) dial: Endpoint,
    pub(crate) reloads: bool,
}

impl Planned {
    /// What it is as a listener with what was bound.
    pub(crate) fn info_at(&self, places: &[BoundPlace]) -> ListenerInfo {
        let endpoints = places.iter().filter_map(|place| place.members.first()).map(Bound::dial).collect();
        self.info(endpoints, places.iter().map(|place| place.members.len()).sum())
    }
}

impl Common {
    /// Checks one listener further than [`plan`](Self::plan): what its endpoint names.
    ///
    /// # Errors
    /// It could not be bound, or must not be served there.
    pub(crate) async fn check(&self, planned: &Planned) -> Result<(), BuildProblem> {
        let Planned { endpoint, transport, .. } = planned;
        transport.check(endpoint).await.map_err(BuildProblem::Bind)?;
        match endpoint.place() {
            Place::Host { host, port } => match host.parse::<IpAddr>() {
                Ok(ip) => self.check_amplification(planned, Some(Addr::Inet((ip, *port).into()))),
                Err(_) => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Binds one listener: every place that it names, at least one.
    ///
    /// # Errors
    /// It cannot be bound, or must not be served there; nothing stays bound.
    pub(crate) async fn bind(&self, planned: &Planned) -> Result<Vec<BoundPlace>, BuildProblem> {
        let Planned { endpoint, transport, .. } = planned;
        let groups = transport.bind_all(endpoint, self.workers.unwrap_or(1)).await.map_err(BuildProblem::Bind)?;
        let mut places = Vec::new();
        for members in groups {
            let Some(first) = members.first() else { continue };
            let reloads = matches!(first, Bound::Listener(listener) if listener.reloads());
            let (local, dial) = (transport.base(&first.local()), transport.base(&first.dial()));
            // What stands on layers reads nothing again that we know of.
            let base = PlaceBase { local, dial, reloads: reloads && planned.base == *endpoint };
            if let Bound::Socket(socket) = first {
                self.check_amplification(planned, socket.local_addr())?;
            }
            places.push(BoundPlace { members, reloads, base });
        }
        if places.is_empty() {
            return Err(BuildProblem::Bind(BindError::invalid(endpoint, "its transport bound nothing")));
        }
        Ok(places)
    }

    /// The layers of a listener whose base is bound at `places` already.
    ///
    /// # Errors
    /// What they need cannot be used, or the handler must not be served there.
    pub(crate) async fn layers(&self, planned: &Planned, places: &[PlaceBase]) -> Result<WireLayers, BuildProblem> {
        let Planned { endpoint, transport, .. } = planned;
        if planned.capabilities.shape == Shape::Datagram {
            places.iter().try_for_each(|base| self.check_amplification(planned, Addr::of_endpoint(&base.local)))?;
        }
        transport.layers(endpoint).await.map_err(BuildProblem::Bind)
    }

    fn check_amplification(&self, planned: &Planned, local: Option<Addr>) -> Result<(), BuildProblem> {
        if planned.service.amplifies() && !self.amplification && can_flood(&planned.capabilities, local) {
            return Err(BuildProblem::Amplification { endpoint: planned.endpoint.clone() });
        }
        Ok(())
    }
}
