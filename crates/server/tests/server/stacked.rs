//! What the server does for a listener, it does for a stack: upkeep, logs, reload, deadlines of handshakes.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::borrow::Cow;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::log::Log;
use crate::common::{ask, limits, until};
use swapwire_core::{
    BindError, Bound, ByteStream, Capabilities, ConnInfo, ConnectError, Endpoint, Framing, Incoming, Link, Listener,
    Registry, Session, SessionConfig, Transport, Upgrade, UpgradeClient, UpgradeError, UpgradeServer, Upkeep,
    async_trait, handler_fn,
};
use swapwire_mem::MemNetwork;
use swapwire_server::{Limits, Running, Server};
use swapwire_stack::WithLayer as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

/// More than half a second, after which the server looks again.
const SOON: Duration = Duration::from_millis(600);

/// What one part of the stack finds at the next look, and how often it was told to reload.
#[derive(Clone, Default)]
struct State(Arc<Mutex<(Option<Upkeep>, u32)>>);

impl State {
    fn find(&self, found: Upkeep) {
        self.0.lock().unwrap().0 = Some(found);
    }

    fn upkeep(&self) -> Option<Upkeep> {
        Some(self.0.lock().unwrap().0.take().unwrap_or(Upkeep::unchanged(true)))
    }

    fn reload(&self) {
        self.0.lock().unwrap().1 += 1;
    }

    fn reloaded(&self) -> u32 {
        self.0.lock().unwrap().1
    }
}

/// The memory network below.
struct Below(Registry, State);

struct BelowListener(Box<dyn Listener>, State);

#[async_trait]
impl Listener for BelowListener {
    fn local(&self) -> Endpoint {
        self.0.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        self.0.accept().await
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.1.upkeep()
    }

    fn reloads(&self) -> bool {
        true
    }

    fn reload(&mut self) {
        self.1.reload();
    }
}

#[async_trait]
impl Transport for Below {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["mem".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        match self.0.bind(endpoint).await? {
            Bound::Listener(inner) => Ok(Bound::Listener(Box::new(BelowListener(inner, self.1.clone())))),
            other => Ok(other),
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.0.connect(endpoint).await
    }
}

/// A layer whose client begins with one byte.
#[derive(Clone)]
struct Layer(State);

#[async_trait]
impl Upgrade for Layer {
    fn name(&self) -> &'static str {
        "layer"
    }

    async fn server(&self, _: &Endpoint) -> Result<Arc<dyn UpgradeServer>, UpgradeError> {
        Ok(Arc::new(self.clone()))
    }

    async fn client(&self, _: &Endpoint) -> Result<Arc<dyn UpgradeClient>, UpgradeError> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl UpgradeServer for Layer {
    async fn accept(&self, mut io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        io.read_u8().await?;
        Ok(Link::Bytes { io, info })
    }

    fn reloads(&self) -> bool {
        true
    }

    fn reload(&self) {
        self.0.reload();
    }

    fn upkeep(&self) -> Option<Upkeep> {
        self.0.upkeep()
    }
}

#[async_trait]
impl UpgradeClient for Layer {
    async fn connect(&self, mut io: Box<dyn ByteStream>, info: ConnInfo) -> io::Result<Link> {
        io.write_u8(b'!').await?;
        Ok(Link::Bytes { io, info })
    }
}

/// A server on such a stack, and what its parts find.
struct Stack {
    server: Running,
    registry: Registry,
    below: State,
    layer: State,
}

impl Stack {
    async fn start(limits: Limits) -> Self {
        let (below, layer) = (State::default(), State::default());
        let network = Registry::new().with(MemNetwork::new());
        let registry = Registry::new().with(Below(network, below.clone())).with_layer(Layer(layer.clone()));
        let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
        let server = Server::builder().registry(registry.clone()).listen("layer+mem:a").handler(echo);
        let server = server.framing(Framing::Lines).limits(limits).bind().await.unwrap().start();
        Self { server, registry, below, layer }
    }

    async fn is_served(&self) -> bool {
        let link = self.registry.connect(&self.server.local_endpoints()[0]).await.unwrap();
        ask(&mut Session::new(link, SessionConfig::framed(Framing::Lines)), "x").await == "x"
    }

    /// A client that says nothing.
    async fn silent(&self) -> Box<dyn ByteStream> {
        match self.registry.connect(&"mem:a".parse().unwrap()).await {
            Ok(Link::Bytes { io, .. }) => io,
            _ => panic!("it is a byte stream"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_any_part_of_a_stack_finds_is_told() {
    let (log, _heard) = Log::hear();
    let stack = Stack::start(limits(|_| {})).await;
    sleep(SOON).await;
    assert!(log.lines().is_empty() && stack.server.unhealthy().is_empty());
    stack.below.find(Upkeep::changed(true, "the socket was bound again"));
    stack.layer.find(Upkeep::changed(true, "a certificate ends soon"));
    sleep(SOON).await;
    assert_eq!(log.line(), "the socket was bound again; a certificate ends soon endpoint=layer+mem:a");
    assert!(stack.server.unhealthy().is_empty() && stack.is_served().await);
    for part in [&stack.below, &stack.layer] {
        part.find(Upkeep::changed(false, "it is lost"));
        sleep(SOON).await;
        assert_eq!(log.line(), "it is lost endpoint=layer+mem:a");
        // It was found well at the looks since.
        sleep(SOON).await;
        assert!(stack.server.unhealthy().is_empty());
        part.find(Upkeep::unchanged(false));
        sleep(Duration::from_millis(490)).await;
        assert_eq!(stack.server.unhealthy(), stack.server.local_endpoints());
        sleep(SOON).await;
    }
    assert!(stack.server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn each_part_of_a_stack_reloads() {
    let stack = Stack::start(limits(|_| {})).await;
    for count in 1..3 {
        assert!(stack.server.handle().reload());
        sleep(SOON).await;
        assert_eq!((stack.below.reloaded(), stack.layer.reloaded()), (count, count));
    }
    assert!(stack.is_served().await && stack.server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_of_a_stack_has_its_deadline_and_makes_room() {
    let (log, _heard) = Log::hear();
    let stack = Stack::start(limits(|l| l.max_handshakes = 1)).await;
    let begun = Instant::now();
    let (mut first, mut second) = (stack.silent().await, stack.silent().await);
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
    assert!(begun.elapsed() < Duration::from_secs(1) && stack.is_served().await);
    let line = log.line();
    assert!(line.starts_with("handshake ended to make room for another") && line.contains("=layer+mem:a"), "{line}");
    assert_eq!(second.read(&mut [0]).await.unwrap(), 0);
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    let line = log.line();
    assert!(line.starts_with("handshake failed: it was not done within 10s: handshake_timeout is the limit"), "{line}");
    until(&stack.server, |stats| stats.handshakes_failed == 2).await;
    assert!(stack.is_served().await && stack.server.stop().await.is_clean());
}
