//! Places that can be taken away are looked after, and whether they can be reached is told.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::common::{Net, ask};
use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, DatagramSocket, Endpoint, Framing, Incoming, Link, Listener,
    RecvBatch, Registry, SendBatch, Session, SessionHandler, Transport, Upkeep, async_trait, handler_fn,
};
use swapwire_server::{IntoService, Running};
use tokio::time::{Instant, sleep};

const MS: Duration = Duration::from_millis(1);

/// What is found, one after the other, and when it was looked.
#[derive(Clone, Default)]
struct Script {
    finds: Arc<Mutex<VecDeque<Option<Upkeep>>>>,
    looks: Arc<Mutex<Vec<Instant>>>,
}

impl Script {
    fn next(&self) -> Option<Upkeep> {
        self.looks.lock().unwrap().push(Instant::now());
        self.finds.lock().unwrap().pop_front().unwrap_or(Some(Upkeep::unchanged(true)))
    }

    fn looks(&self) -> usize {
        self.looks.lock().unwrap().len()
    }
}

/// The in-memory transport with places of the script's.
struct Tended(Registry, Script);

struct TendedListener(Box<dyn Listener>, Script);

struct TendedSocket(Box<dyn DatagramSocket>, Script);

#[async_trait]
impl Listener for TendedListener {
    fn local(&self) -> Endpoint {
        self.0.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        self.0.accept().await
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.1.next()
    }
}

impl DatagramSocket for TendedSocket {
    fn local(&self) -> Endpoint {
        self.0.local()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        self.0.poll_recv(cx, batch)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, batch, from)
    }

    fn max_message(&self) -> usize {
        self.0.max_message()
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.1.next()
    }
}

#[async_trait]
impl Transport for Tended {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["mem".into(), "mem-dgram".into()]
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        if scheme == "mem" { Capabilities::byte_stream() } else { Capabilities::datagram(65_536) }
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        Ok(match self.0.bind(endpoint).await? {
            Bound::Listener(inner) => Bound::Listener(Box::new(TendedListener(inner, self.1.clone()))),
            Bound::Socket(inner) => Bound::Socket(Box::new(TendedSocket(inner, self.1.clone()))),
            other => other,
        })
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.0.connect(endpoint).await
    }
}

struct InSessions;

#[async_trait]
impl SessionHandler for InSessions {
    async fn run(&self, mut session: Session) -> Result<(), swapwire_core::HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message).await?;
        }
        Ok(())
    }
}

fn echo() -> impl swapwire_core::Handler {
    handler_fn(|request, reply| Ok(reply.send(request.message())?))
}

async fn start<K>(net: &Net, script: &Script, endpoint: &str, handler: impl IntoService<K>) -> Running {
    let tended = Tended(net.registry.clone(), script.clone());
    let builder = net.server().transport(tended).listen(endpoint).handler(handler).framing(Framing::Lines);
    builder.bind().await.unwrap().start()
}

/// Looks at a place that is lost for a while, and at last for good.
async fn look_after<K>(endpoint: &str, handler: impl IntoService<K>) {
    let (net, script) = (Net::new(), Script::default());
    script.finds.lock().unwrap().extend([
        Some(Upkeep::unchanged(true)),
        Some(Upkeep::changed(true, "bound again")),
        Some(Upkeep::changed(false, "gone")),
        Some(Upkeep::unchanged(false)),
        Some(Upkeep::changed(true, "bound again")),
        Some(Upkeep::changed(false, "taken")),
        Some(Upkeep::unchanged(false)),
    ]);
    let server = start(&net, &script, endpoint, handler).await;
    let mut seen = Vec::new();
    for _ in 0..7 {
        sleep(250 * MS).await;
        // It serves all the while.
        let mut session = net.connect(endpoint).await;
        assert_eq!(ask(&mut session, "x").await, "x");
        seen.push(!server.unhealthy().is_empty());
        sleep(250 * MS).await;
    }
    assert_eq!(seen, [false, false, true, true, false, true, true]);
    let looks = script.looks.lock().unwrap().clone();
    assert!(looks.windows(2).all(|two| two[1] - two[0] <= 502 * MS), "{looks:?}");
    assert!(looks.len() >= 7, "{looks:?}");
    let report = server.stop().await;
    assert!(report.is_clean(), "{report}");
    let looks = script.looks();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(script.looks(), looks, "nobody looks after a place that is served no more");
}

#[tokio::test(start_paused = true)]
async fn a_lost_place_is_unhealthy_until_it_is_bound_again() {
    look_after("mem:a", echo()).await;
    look_after("mem:b", InSessions).await;
    look_after("mem-dgram:a", echo()).await;
    look_after("mem-dgram:b", InSessions).await;
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_upkeep_is_asked_once() {
    for endpoint in ["mem:a", "mem-dgram:a"] {
        let (net, script) = (Net::new(), Script::default());
        script.finds.lock().unwrap().push_back(None);
        let server = start(&net, &script, endpoint, echo()).await;
        sleep(Duration::from_secs(60)).await;
        let mut session = net.connect(endpoint).await;
        assert_eq!(ask(&mut session, "x").await, "x");
        assert_eq!(script.looks(), 1);
        assert!(server.unhealthy().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_looked_after_during_a_drain() {
    for endpoint in ["mem:a", "mem-dgram:a"] {
        let (net, script) = (Net::new(), Script::default());
        script.finds.lock().unwrap().push_back(Some(Upkeep::changed(false, "taken")));
        let server = start(&net, &script, endpoint, InSessions).await;
        let mut session = net.connect(endpoint).await;
        assert_eq!(ask(&mut session, "x").await, "x");
        let looks = script.looks();
        drop(server.stop().await);
        assert!(script.looks() <= looks + 1);
    }
}
