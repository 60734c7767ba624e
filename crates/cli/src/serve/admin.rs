//! The admin endpoint of `serve`.

use swapwire::admin::{Admin, AdminError, BoundAdmin, ServerSource};
use swapwire::core::Place;
use swapwire::{Endpoint, Registry};

use crate::directories;
use crate::exit::{self, Failure};

/// One that was asked for.
pub(crate) struct AdminPlan {
    registry: Registry,
    /// The best first; one, if it was named.
    places: Vec<Endpoint>,
    admin: Admin,
}

impl AdminPlan {
    /// Listens where it is said, else at a Unix socket of this user's alone.
    pub(crate) fn new(registry: Registry, listen: Option<Endpoint>, admin: Admin) -> Self {
        let places =
            directories::of_sockets().into_iter().map(|folder| Place::Path(folder.join("swapwire-admin.sock")));
        let usual = || places.filter_map(|place| Endpoint::new("unix", place).ok()).collect();
        Self { registry, places: listen.map_or_else(usual, |endpoint| vec![endpoint]), admin }
    }

    /// Where it would listen; finds what is wrong without binding.
    pub(crate) async fn check(&self) -> Result<&Endpoint, Failure> {
        let mut result = Err(Failure::failed("admin: no place for a socket"));
        for place in &self.places {
            match self.admin.check(&self.registry, place).await {
                Ok(()) => return Ok(place),
                Err(error) => result = Err(failure(&error)),
            }
        }
        result
    }

    /// Binds it at the first place that takes it.
    pub(crate) async fn bind(&self, source: &ServerSource) -> Result<BoundAdmin, Failure> {
        let mut result = Err(Failure::failed("admin: no place for a socket"));
        for place in &self.places {
            match self.admin.bind(&self.registry, place, source.clone()).await {
                Ok(bound) => return Ok(bound),
                Err(error) => result = Err(failure(&error)),
            }
        }
        result
    }
}

pub(crate) fn failure(error: &AdminError) -> Failure {
    match error.is_configuration() {
        true => Failure::usage(error),
        false => Failure::several(exit::FAILURE, vec![error.to_string()]),
    }
}

/// Where a browser or `curl` reaches it.
pub(crate) fn urls(endpoints: &[Endpoint]) -> impl Iterator<Item = String> {
    endpoints.iter().map(|endpoint| {
        let text = endpoint.to_string();
        let Some((scheme, place)) = text.split_once("://") else { return text };
        let http = if scheme.split('+').any(|part| part == "tls") { "https" } else { "http" };
        format!("{http}://{}/", place.split(['/', '?']).next().unwrap_or_default())
    })
}
