//! Servers with workers of their own, on the in-memory transport: what does not depend on the wire.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::common::{Net, ask, limits, until};
use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, DatagramSocket, Endpoint, Framing, Handler, HandlerError, Incoming,
    Link, Listener, RecvBatch, Reply, Request, SendBatch, Session, SessionConfig, SessionHandler, Transport,
    async_trait, handler_fn,
};
use swapwire_mem::MemNetwork;

fn echo() -> impl Handler {
    handler_fn(|request, reply| Ok(reply.send(request.message())?))
}

/// Answers with the name of the thread that runs a task which the call has spawned.
struct WhichThread;

impl Handler for WhichThread {
    async fn handle(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let name = tokio::spawn(async { std::thread::current().name().unwrap_or_default().to_owned() }).await?;
        Ok(reply.send(name.as_bytes())?)
    }
}

#[tokio::test]
async fn endpoints_that_are_bound_once_are_spread_over_the_workers() {
    let net = Net::new();
    let endpoints = ["mem:a", "mem:b", "mem-seq:c", "mem-seq:d"];
    let mut builder = net.server().workers(3).handler(WhichThread).framing(Framing::Lines);
    for endpoint in endpoints {
        builder = builder.listen(endpoint);
    }
    let server = builder.bind().await.unwrap().start();
    let mut names = Vec::new();
    for endpoint in endpoints {
        names.push(ask(&mut net.connect(endpoint).await, "x").await);
    }
    assert_eq!(names, [0, 1, 2, 0].map(|number| format!("swapwire-worker-{number}")));
    let sessions: Vec<_> = server.worker_snapshots().iter().map(|worker| worker.sessions).collect();
    assert_eq!(sessions, [2, 1, 1]);
    assert_eq!(server.snapshot().sessions, 4);
    let report = server.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.stats.sessions, report.stats.messages), (4, 4));
}

#[tokio::test]
async fn a_server_without_workers_runs_on_the_callers_runtime() {
    let net = Net::new();
    let server = net.start("mem:a", WhichThread).await;
    let here = std::thread::current().name().unwrap().to_owned();
    assert_eq!(ask(&mut net.connect("mem:a").await, "x").await, here);
    assert_eq!(server.worker_snapshots().len(), 1);
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn a_worker_with_nothing_to_serve_is_not_started() {
    let net = Net::new();
    let server =
        net.server().workers(8).listen("mem:a").handler(echo()).framing(Framing::Lines).bind().await.unwrap().start();
    assert_eq!(server.worker_snapshots().len(), 1);
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn a_server_with_workers_can_be_awaited_and_dropped() {
    let net = Net::new();
    let bind = || net.server().workers(2).listen("mem:a").listen("mem-dgram:b").framing(Framing::Lines).handler(echo());
    // Without ever running; a runtime may not be dropped within another one, so this could panic.
    drop(bind().bind().await.unwrap());
    let server = bind().bind().await.unwrap();
    let client = async {
        for endpoint in ["mem:a", "mem-dgram:b"] {
            assert_eq!(ask(&mut net.connect(endpoint).await, "hello").await, "hello");
        }
    };
    tokio::select! {
        report = server.into_future() => panic!("it ended: {report}"),
        () = client => {}
    }
    // The workers end by themselves, and then the place is free.
    while bind().bind().await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_number_of_workers_has_bounds() {
    for workers in [0, 1025] {
        let error = Net::new().server().workers(workers).listen("mem:a").handler(echo()).framing(Framing::Lines);
        let error = error.bind().await.unwrap_err();
        assert_eq!(error.to_string(), "limits: workers must be from 1 to 1024: .workers(n)");
    }
}

/// Blocks its thread until told.
struct Blocking {
    begun: SyncSender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Handler for Blocking {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        if request.message() == b"block" {
            self.begun.send(())?;
            self.go_on.lock().unwrap().recv()?;
        }
        Ok(reply.send(request.message())?)
    }
}

fn blocking() -> (Blocking, Receiver<()>, SyncSender<()>) {
    let ((begun, has_begun), (go_on, may_go_on)) = (sync_channel(1), sync_channel(1));
    (Blocking { begun, go_on: Mutex::new(may_go_on) }, has_begun, go_on)
}

#[tokio::test]
async fn a_handler_that_blocks_its_thread_stalls_one_worker_and_holds_up_no_report() {
    let net = Net::new();
    let (handler, has_begun, go_on) = blocking();
    // Long enough for the worker that is not stuck.
    let short = limits(|limits| limits.drain_timeout = Duration::from_secs(3));
    let builder = net.server().workers(2).listen("mem:a").listen("mem:b").handler(handler).limits(short);
    let server = builder.framing(Framing::Lines).bind().await.unwrap().start();
    let mut stuck = net.connect("mem:a").await;
    stuck.send("block").await.unwrap();
    stuck.flush().await.unwrap();
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
    assert_eq!(ask(&mut net.connect("mem:b").await, "other").await, "other");
    until(&server, |stats| stats.done == 1).await;
    let report = server.stop().await;
    assert_eq!(report.cut, 1, "{report}");
    go_on.send(()).unwrap();
}

#[tokio::test]
async fn a_drain_can_be_cut_short() {
    for workers in [None, Some(2)] {
        let net = Net::new();
        let (waiting, begun) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
        let tell = Arc::clone(&begun);
        let handler = swapwire_core::handler_fn_async(move |message| {
            tell.add_permits(1);
            let waiting = Arc::clone(&waiting);
            async move {
                waiting.acquire().await?.forget();
                Ok(message)
            }
        });
        let for_ever = limits(|limits| limits.drain_timeout = Duration::MAX);
        let mut builder = net.server().listen("mem:a").listen("mem:b").handler(handler).limits(for_ever);
        if let Some(workers) = workers {
            builder = builder.workers(workers);
        }
        let server = builder.framing(Framing::Lines).bind().await.unwrap();
        let mut sessions = Vec::new();
        for endpoint in ["mem:a", "mem:b"] {
            let mut session = net.connect(endpoint).await;
            session.send("wait").await.unwrap();
            session.flush().await.unwrap();
            sessions.push(session);
        }
        let stop = async { begun.acquire_many(2).await.unwrap().forget() };
        let report = server.run_until_cut(stop, async {}).await;
        assert_eq!((report.cut, report.stats.cut), (2, 2), "{report}");
        for mut session in sessions {
            assert!(!matches!(session.recv().await, Ok(Some(_))));
        }
        // All is closed by now.
        drop(net.registry.bind(&"mem:a".parse().unwrap()).await.unwrap());
    }
}

/// A transport whose listeners panic when they are asked for a connection.
struct Panicking(MemNetwork);

struct PanickingListener(Box<dyn Listener>);

#[async_trait]
impl Listener for PanickingListener {
    fn local(&self) -> Endpoint {
        self.0.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        panic!("as asked")
    }
}

#[async_trait]
impl Transport for Panicking {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["mem-seq".into()]
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        self.0.capabilities(scheme)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        match self.0.bind(endpoint).await? {
            Bound::Listener(listener) => Ok(Bound::Listener(Box::new(PanickingListener(listener)))),
            other => Ok(other),
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.0.connect(endpoint).await
    }
}

#[tokio::test]
async fn a_loop_that_panics_fails_its_endpoint_and_hangs_nothing() {
    for workers in [None, Some(2)] {
        let network = MemNetwork::new();
        let mut builder = Net { registry: Default::default() }.server().transport(network.clone());
        builder = builder.transport(Panicking(network.clone())).listen("mem:a").listen("mem-seq:b").handler(echo());
        if let Some(workers) = workers {
            builder = builder.workers(workers);
        }
        let server = builder.framing(Framing::Lines).bind().await.unwrap().start();
        let link = network.connect(&"mem:a".parse().unwrap()).await.unwrap();
        let mut session = Session::new(link, SessionConfig::framed(Framing::Lines));
        assert_eq!(ask(&mut session, "alive").await, "alive");
        drop(session);
        let report = server.stop().await;
        assert_eq!(report.failed.len(), 1, "{report}");
        assert!(report.to_string().ends_with("mem-seq:b failed: its loop panicked"), "{report}");
    }
}

#[tokio::test]
async fn when_every_endpoint_has_failed_the_server_ends_by_itself() {
    let network = MemNetwork::new();
    let builder = Net { registry: Default::default() }.server().transport(Panicking(network)).workers(4);
    let server = builder.listen("mem-seq:a").listen("mem-seq:b").handler(echo()).bind().await.unwrap();
    assert_eq!(server.await.failed.len(), 2);
}

#[tokio::test]
async fn a_drain_reaches_calls_on_every_worker() {
    let net = Net::new();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (waiting, open) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::clone(&gate));
    let begun = Arc::clone(&waiting);
    let handler = swapwire_core::handler_fn_async(move |message| {
        let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
        async move {
            begun.add_permits(1);
            gate.acquire().await?.forget();
            Ok(message)
        }
    });
    let endpoints: Vec<_> = (0..8).map(|i| format!("mem:{i}")).collect();
    let mut builder = net.server().workers(4).handler(handler).framing(Framing::Lines);
    for endpoint in &endpoints {
        builder = builder.listen(endpoint.as_str());
    }
    let server = builder.bind().await.unwrap().start();
    let mut sessions = Vec::new();
    for endpoint in &endpoints {
        let mut session = net.connect(endpoint).await;
        session.send("slow").await.unwrap();
        session.flush().await.unwrap();
        sessions.push(session);
    }
    waiting.acquire_many(8).await.unwrap().forget();
    let stop = tokio::spawn(server.stop());
    open.add_permits(8);
    for session in &mut sessions {
        assert_eq!(crate::common::text(session).await, "slow");
    }
    drop(sessions);
    let report = stop.await.unwrap();
    assert!(report.is_clean() && report.stats.messages == 8, "{report}");
}

/// A group of two in memory: what was bound under the endpoint's name, and under that name with a `2`. Notes which of them
/// was closed, and what had been done by then.
#[derive(Clone)]
struct Pairs {
    network: MemNetwork,
    done: Arc<AtomicUsize>,
    closed: Arc<Mutex<Vec<(usize, usize)>>>,
}

struct Noted {
    pairs: Pairs,
    member: usize,
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.pairs.closed.lock().unwrap().push((self.member, self.pairs.done.load(SeqCst)));
    }
}

/// Connections that one member of a pair takes after the drain has begun, one every few milliseconds: it is never quiet
/// for long, and the other is, but for one connection in the midst of these.
const LATE: usize = 30;

struct PairListener {
    inner: Box<dyn Listener>,
    noted: Noted,
}

#[async_trait]
impl Listener for PairListener {
    fn local(&self) -> Endpoint {
        self.inner.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let taken = self.noted.pairs.done.load(SeqCst);
        if self.noted.member == 0 || taken == LATE {
            return self.inner.accept().await;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
        let network = &self.noted.pairs.network;
        if taken == LATE / 2 {
            // Long after the other member became quiet.
            drop(network.connect(&"mem:a".parse().unwrap()).await);
        }
        let _client = network.connect(&self.inner.local()).await.map_err(io::Error::other)?;
        self.noted.pairs.done.store(taken + 1, SeqCst);
        self.inner.accept().await
    }
}

struct PairSocket {
    inner: Box<dyn DatagramSocket>,
    _noted: Noted,
}

impl DatagramSocket for PairSocket {
    fn local(&self) -> Endpoint {
        self.inner.local()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, batch: &mut RecvBatch) -> Poll<io::Result<()>> {
        self.inner.poll_recv(cx, batch)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, batch: &SendBatch, from: usize) -> Poll<io::Result<usize>> {
        self.inner.poll_send(cx, batch, from)
    }

    fn max_message(&self) -> usize {
        self.inner.max_message()
    }
}

#[async_trait]
impl Transport for Pairs {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        self.network.schemes()
    }

    fn capabilities(&self, scheme: &str) -> Capabilities {
        self.network.capabilities(scheme)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        self.network.bind(endpoint).await
    }

    async fn bind_group(&self, endpoint: &Endpoint, members: usize) -> Result<Vec<Bound>, BindError> {
        assert_eq!(members, 2);
        let mut group = Vec::new();
        for member in 0..members {
            let place = format!("{endpoint}{}", ["", "2"][member]).parse().unwrap();
            let noted = Noted { pairs: self.clone(), member };
            group.push(match self.network.bind(&place).await? {
                Bound::Listener(inner) => Bound::Listener(Box::new(PairListener { inner, noted })),
                Bound::Socket(inner) => Bound::Socket(Box::new(PairSocket { inner, _noted: noted })),
                other => other,
            });
        }
        Ok(group)
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.network.connect(endpoint).await
    }
}

fn pairs() -> Pairs {
    Pairs { network: MemNetwork::new(), done: Arc::default(), closed: Arc::default() }
}

#[tokio::test]
async fn the_listeners_of_a_group_take_what_comes_until_all_are_quiet_and_close_together() {
    let pairs = pairs();
    let builder = Net { registry: Default::default() }.server().transport(pairs.clone()).workers(2);
    let patient = limits(|l| (l.drain_grace, l.drain_timeout) = (Duration::from_secs(60), Duration::from_secs(60)));
    let builder = builder.listen("mem:a").handler(echo()).framing(Framing::Lines).limits(patient);
    let report = builder.bind().await.unwrap().run_until(async {}).await;
    assert!(report.is_clean() && report.stats.sessions == LATE as u64 + 1, "{report}");
    assert_eq!(sorted(&pairs), [(0, LATE), (1, LATE)]);
}

/// Takes its time when the server drains.
struct Slow(Pairs);

#[async_trait]
impl SessionHandler for Slow {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message).await?;
            session.flush().await?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.0.done.store(1, SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn the_sockets_of_a_group_close_together_when_the_last_session_has_ended() {
    let pairs = pairs();
    let builder = Net { registry: Default::default() }.server().transport(pairs.clone()).workers(2);
    let server = builder.listen("mem-dgram:a").handler(Slow(pairs.clone())).bind().await.unwrap().start();
    let link = pairs.connect(&"mem-dgram:a2".parse().unwrap()).await.unwrap();
    let mut session = Session::new(link, SessionConfig::default());
    assert_eq!(ask(&mut session, "hello").await, "hello");
    let report = server.stop().await;
    assert!(report.is_clean() && report.stats.sessions == 1, "{report}");
    assert_eq!(sorted(&pairs), [(0, 1), (1, 1)]);
}

fn sorted(pairs: &Pairs) -> Vec<(usize, usize)> {
    let mut closed = pairs.closed.lock().unwrap().clone();
    closed.sort_unstable();
    closed
}

#[tokio::test]
async fn a_worker_begins_with_any_number_of_endpoints() {
    let net = Net::new();
    let mut builder = net.server().workers(1).handler(echo()).framing(Framing::Lines);
    for number in 0..1500 {
        builder = builder.listen(format!("mem:{number}"));
    }
    let server = builder.bind().await.unwrap().start();
    assert_eq!(ask(&mut net.connect("mem:1499").await, "x").await, "x");
    assert!(server.stop().await.is_clean());
}
