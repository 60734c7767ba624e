//! What a listener was bound with is read again when the server is asked for it, on the worker that serves it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use crate::common::log::Log;
use crate::common::{Net, ask};
use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, Framing, Incoming, Link, Listener, Registry, Transport,
    Upkeep, async_trait, handler_fn,
};
use swapwire_server::{Server, ServerBuilder};
use tokio::sync::mpsc;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// The in-memory transport, whose listeners say where and on which thread they reload.
struct Reloading {
    inner: Registry,
    reloads: mpsc::Sender<(Endpoint, String)>,
    /// Whether they have an upkeep.
    tends: bool,
}

struct ReloadingListener {
    inner: Box<dyn Listener>,
    reloads: mpsc::Sender<(Endpoint, String)>,
    tends: bool,
    news: Option<&'static str>,
}

#[async_trait]
impl Listener for ReloadingListener {
    fn local(&self) -> Endpoint {
        self.inner.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        self.inner.accept().await
    }

    fn reloads(&self) -> bool {
        true
    }

    fn reload(&mut self) {
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        self.reloads.try_send((self.local(), thread)).expect("it is asked a few times");
        self.news = Some("the certificates were read again");
    }

    fn upkeep(&mut self) -> Option<Upkeep> {
        self.tends.then(|| match self.news.take() {
            Some(news) => Upkeep::changed(true, news),
            None => Upkeep::unchanged(true),
        })
    }
}

#[async_trait]
impl Transport for Reloading {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["mem".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        match self.inner.bind(endpoint).await? {
            Bound::Listener(inner) => {
                let (reloads, tends) = (self.reloads.clone(), self.tends);
                Ok(Bound::Listener(Box::new(ReloadingListener { inner, reloads, tends, news: None })))
            }
            other => Ok(other),
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.inner.connect(endpoint).await
    }
}

/// A builder, and what reloads.
fn builder(net: &Net, tends: bool) -> (ServerBuilder, mpsc::Receiver<(Endpoint, String)>) {
    let (reloads, reloaded) = mpsc::channel(16);
    let transport = Reloading { inner: net.registry.clone(), reloads, tends };
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    (net.server().transport(transport).handler(echo).framing(Framing::Lines), reloaded)
}

async fn bind(builder: ServerBuilder) -> Server {
    builder.bind().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_listener_that_can_reloads_once_for_each_request() {
    for tends in [true, false] {
        let net = Net::new();
        let (builder, mut reloaded) = builder(&net, tends);
        let server = bind(builder.listen("mem:a").listen("mem:b").listen("mem-seq:c")).await;
        let server = server.start();
        let handle = server.handle();
        sleep(10 * SECOND).await;
        assert!(reloaded.try_recv().is_err(), "nobody has asked");
        assert_eq!(handle.reloads(), &server.local_endpoints()[..2]);
        for _ in 0..2 {
            // As often as somebody likes: before they begin it is one.
            assert!((0..1000).all(|_| handle.reload()));
            sleep(SECOND).await;
            let mut places = [reloaded.try_recv().unwrap().0, reloaded.try_recv().unwrap().0].map(|at| at.to_string());
            places.sort();
            assert_eq!(places, ["mem:a", "mem:b"]);
            assert!(reloaded.try_recv().is_err(), "once each");
        }
        assert_eq!(ask(&mut net.connect("mem:a").await, "x").await, "x");
        assert!(server.stop().await.is_clean());
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_of_it_is_logged() {
    let (log, _heard) = Log::hear();
    let net = Net::new();
    let (builder, _reloaded) = builder(&net, true);
    let server = bind(builder.listen("mem:a")).await.start();
    server.handle().reload();
    sleep(SECOND).await;
    assert_eq!(log.line(), "the certificates were read again endpoint=mem:a");
    assert!(server.unhealthy().is_empty());
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_nothing_to_reload_says_so() {
    let net = Net::new();
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let server = net.server().listen("mem:a").listen("mem-dgram:b").handler(echo).framing(Framing::Lines);
    let server = bind(server).await.start();
    assert!(!server.handle().reload() && server.handle().reloads().is_empty());
    assert_eq!(ask(&mut net.connect("mem:a").await, "x").await, "x");
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_before_and_not_behind_the_run() {
    let net = Net::new();
    let (builder, mut reloaded) = builder(&net, true);
    let server = bind(builder.listen("mem:a")).await;
    let handle = server.handle();
    assert!(handle.reload());
    let server = server.start();
    sleep(SECOND).await;
    assert!(reloaded.try_recv().is_ok());
    let mut session = net.connect("mem:a").await;
    assert_eq!(ask(&mut session, "x").await, "x");
    let late = async {
        sleep(Duration::from_millis(100)).await;
        handle.reload()
    };
    let (report, has_any) = tokio::join!(server.stop(), late);
    assert!(report.is_clean() && has_any && reloaded.try_recv().is_err());
}

/// New connections that come without a pause do not put it off.
#[tokio::test]
async fn it_is_asked_under_a_flood_of_connections() {
    let net = Net::new();
    let (builder, mut reloaded) = builder(&net, true);
    let server = bind(builder.listen("mem:a")).await.start();
    let flood: Vec<_> = (0..16)
        .map(|_| {
            let registry = net.registry.clone();
            tokio::spawn(async move { while registry.connect(&"mem:a".parse().unwrap()).await.is_ok() {} })
        })
        .collect();
    for _ in 0..3 {
        server.handle().reload();
        reloaded.recv().await.unwrap();
    }
    flood.iter().for_each(tokio::task::JoinHandle::abort);
    drop(server.stop().await);
}

/// Their clocks are real.
#[tokio::test]
async fn a_worker_reloads_what_it_serves() {
    let net = Net::new();
    let (builder, mut reloaded) = builder(&net, true);
    let server = bind(builder.workers(2).listen("mem:a").listen("mem:b")).await.start();
    assert!(server.handle().reload());
    let mut found = [reloaded.recv().await.unwrap(), reloaded.recv().await.unwrap()];
    found.sort_by_key(|(at, _)| at.to_string());
    let found = found.map(|(at, thread)| format!("{at} {thread}"));
    assert_eq!(found, ["mem:a swapwire-worker-0", "mem:b swapwire-worker-1"]);
    assert!(server.stop().await.is_clean());
}
