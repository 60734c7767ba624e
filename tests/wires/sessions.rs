//! Sessions are told apart, and have a state of their own, over every wire.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use crate::common::{Net, Places, ask, is_datagram};
use swapwire::layers::PeerRateLayer;
use swapwire::{
    Handler, HandlerError, HandlerExt as _, PerMessage, PerSession, Reply, Request, Session, SessionHandler,
    async_trait, handler_fn, stateful_fn,
};

#[tokio::test]
async fn a_state_for_each_session_everywhere() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        let counts = stateful_fn(
            |_| 0,
            |count: &mut i32, request, reply| {
                *count += 1;
                Ok(reply.send([count.to_string().as_bytes(), b" ", request.message()].concat())?)
            },
        );
        let (server, local) = net.start(&endpoint, counts).await;
        let (mut one, mut other) = (net.connect(&local).await, net.connect(&local).await);
        for round in 1..=3 {
            assert_eq!(ask(&mut one, "a").await, format!("{round} a"), "{local}");
            assert_eq!(ask(&mut other, "b").await, format!("{round} b"), "{local}");
        }
        drop((one, other));
        let report = server.stop().await;
        assert!(report.is_clean(), "{local}: {report}");
        assert_eq!((report.stats.sessions, report.stats.messages), (2, 6), "{local}: {report}");
    }
}

struct Ids;

#[async_trait]
impl SessionHandler for Ids {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while session.recv().await?.is_some() {
            let id = format!("{:?}", session.id());
            session.send(id).await?;
        }
        Ok(())
    }
}

/// Unnamed Unix clients among them.
#[tokio::test]
async fn sessions_have_ids_everywhere() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        for per_session in [false, true] {
            let ids = handler_fn(|request, reply| Ok(reply.send(format!("{:?}", request.session()))?));
            let builder = net.server().listen(&endpoint);
            let builder = if per_session { builder.handler(PerSession::new(Ids)) } else { builder.handler(ids) };
            let server = builder.bind().await.unwrap().start();
            let local = server.local_endpoints()[0].clone();
            let (mut one, mut other) = (net.connect(&local).await, net.connect(&local).await);
            let (first, second) = (ask(&mut one, "x").await, ask(&mut other, "x").await);
            assert_ne!(first, second, "{local}, per session: {per_session}");
            assert_eq!((ask(&mut one, "x").await, ask(&mut other, "x").await), (first.clone(), second), "{local}");
            drop(one);
            if !is_datagram(&local) {
                assert_ne!(ask(&mut net.connect(&local).await, "x").await, first, "{local}: another connection");
            }
            drop(other);
            assert!(server.stop().await.is_clean(), "{local}");
        }
    }
}

/// A handler of both kinds.
struct Echo;

impl Handler for Echo {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        Ok(reply.send(request.message())?)
    }
}

#[async_trait]
impl SessionHandler for Echo {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn who_asks_too_much_is_answered_politely_everywhere() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        for per_session in [false, true] {
            let limit = PeerRateLayer::new(2, Duration::from_secs(3600)).answer("slow down");
            let handler = Echo.with_layer(limit.clone());
            let builder = net.server().listen(&endpoint);
            let builder = if per_session {
                builder.handler(PerSession::new(handler))
            } else {
                builder.handler(PerMessage::new(handler))
            };
            let server = builder.bind().await.unwrap().start();
            let local = server.local_endpoints()[0].clone();
            let mut client = net.connect(&local).await;
            for expected in ["a", "b", "slow down", "slow down"] {
                assert_eq!(ask(&mut client, &expected[..1]).await, expected, "{local}, per session: {per_session}");
            }
            drop(client);
            let report = server.stop().await;
            assert!(report.is_clean(), "{local}: {report}");
            assert_eq!((limit.refused(), report.stats.messages), (2, 4), "{local}: {report}");
        }
    }
}
