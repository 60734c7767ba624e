//! Endpoints that name several places, as host names do.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::borrow::Cow;

use crate::common::{Net, ask};
use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, Framing, Handler, HandlerError, Link, Registry, Reply,
    Request, Transport, async_trait,
};
use swapwire_mem::MemNetwork;

/// Every name has two places: itself, and itself with a 2.
#[derive(Clone)]
struct Twice(MemNetwork);

fn second(endpoint: &Endpoint) -> Endpoint {
    format!("{endpoint}2").parse().unwrap()
}

#[async_trait]
impl Transport for Twice {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        self.0.schemes()
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        let mut capabilities = self.0.capabilities(scheme);
        capabilities.spoofable = !capabilities.reliable;
        capabilities
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        self.0.bind(endpoint).await
    }

    async fn bind_all(&self, endpoint: &Endpoint, _: usize) -> Result<Vec<Vec<Bound>>, BindError> {
        Ok(vec![vec![self.0.bind(endpoint).await?], vec![self.0.bind(&second(endpoint)).await?]])
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.0.connect(endpoint).await
    }
}

/// Says where it was asked.
struct Where;

impl Handler for Where {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        Ok(reply.send(request.local().to_string().as_bytes())?)
    }
}

#[tokio::test]
async fn all_places_of_an_endpoint_are_served_and_told_in_order() {
    let network = MemNetwork::new();
    let net = Net { registry: Registry::new().with(network.clone()) };
    for workers in [None, Some(1), Some(3)] {
        let mut builder = net.server().transport(Twice(network.clone())).handler(Where).framing(Framing::Lines);
        if let Some(workers) = workers {
            builder = builder.workers(workers);
        }
        let server = builder.listen("mem:a").listen("mem-seq:b").listen("mem-dgram:c").bind().await.unwrap();
        let places = ["mem:a", "mem:a2", "mem-seq:b", "mem-seq:b2", "mem-dgram:c", "mem-dgram:c2"];
        assert_eq!(server.local_endpoints().iter().map(ToString::to_string).collect::<Vec<_>>(), places);
        let server = server.start();
        for place in places {
            let said = ask(&mut net.connect(place).await, "x").await;
            assert_eq!(said.rsplit_once(':').unwrap().1, place.rsplit_once(':').unwrap().1, "{place}: {said}");
        }
        // The places of one name are one listener.
        let listed: Vec<_> =
            server.snapshots().into_iter().map(|(info, _)| (info.name, info.endpoints.len())).collect();
        assert_eq!(listed, ["mem:a", "mem-seq:b", "mem-dgram:c"].map(|name| (name.to_owned(), 2)));
        let report = server.stop().await;
        assert!(report.is_clean() && report.stats.messages == 6, "{report}");
    }
}

#[tokio::test]
async fn one_place_in_use_leaves_nothing_bound() {
    let network = MemNetwork::new();
    let net = Net { registry: Registry::new().with(network.clone()) };
    let taken = network.bind(&"mem:a2".parse().unwrap()).await.unwrap();
    let listen =
        || net.server().transport(Twice(network.clone())).handler(Where).framing(Framing::Lines).listen("mem:a").bind();
    assert_eq!(listen().await.unwrap_err().problems().len(), 1);
    drop(taken);
    drop(listen().await.unwrap());
}
