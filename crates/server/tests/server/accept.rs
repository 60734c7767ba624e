//! The accept loop against a listener that fails in every way.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{Net, ask};
use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, Endpoint, ErrorClass, Framing, Incoming, Link, Listener, Registry,
    Session, SessionConfig, Transport, async_trait, classify_accept, handler_fn,
};
use tokio::time::Instant;

/// The in-memory transport with a listener that fails first.
struct Failing {
    inner: Registry,
    errors: Arc<Mutex<VecDeque<i32>>>,
}

struct FailingListener {
    inner: Box<dyn Listener>,
    errors: Arc<Mutex<VecDeque<i32>>>,
}

#[async_trait]
impl Listener for FailingListener {
    fn local(&self) -> Endpoint {
        self.inner.local()
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let next = self.errors.lock().unwrap().pop_front();
        match next {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => self.inner.accept().await,
        }
    }
}

#[async_trait]
impl Transport for Failing {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["mem".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::byte_stream()
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        match self.inner.bind(endpoint).await? {
            Bound::Listener(inner) => {
                Ok(Bound::Listener(Box::new(FailingListener { inner, errors: Arc::clone(&self.errors) })))
            }
            other => Ok(other),
        }
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        self.inner.connect(endpoint).await
    }
}

/// Serves on a listener that fails with `errors`, then asks it something. How long that took, on a paused clock.
async fn survive(errors: impl IntoIterator<Item = i32>) -> Duration {
    let net = Net::new();
    let errors: Arc<Mutex<VecDeque<i32>>> = Arc::new(Mutex::new(errors.into_iter().collect()));
    let failures = errors.lock().unwrap().len() as u64;
    let failing = Failing { inner: net.registry.clone(), errors: Arc::clone(&errors) };
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let server =
        net.server().transport(failing).listen("mem:a").handler(echo).framing(Framing::Lines).bind().await.unwrap();
    let begun = Instant::now();
    let server = server.start();
    let link = net.registry.connect(&"mem:a".parse().unwrap()).await.unwrap();
    let mut session = Session::new(link, SessionConfig::framed(Framing::Lines));
    assert_eq!(ask(&mut session, "alive").await, "alive");
    assert!(errors.lock().unwrap().is_empty());
    drop(session);
    let took = begun.elapsed();
    let report = server.stop().await;
    assert!(report.is_clean() && report.stats.accept_errors == failures, "{report}");
    took
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn every_error_of_accept_is_survived_or_reported() {
    for errno in 1..=133 {
        match classify_accept(&io::Error::from_raw_os_error(errno)) {
            ErrorClass::ListenerFatal => {}
            ErrorClass::ListenerPressure => assert_eq!(survive([errno]).await, Duration::from_millis(5), "{errno}"),
            _ => assert_eq!(survive([errno]).await, Duration::ZERO, "{errno}"),
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn pressure_backs_off_up_to_a_second() {
    // 5 + 10 + … + 640 ms, then 1 s each.
    let took = survive(std::iter::repeat_n(24, 10)).await;
    assert_eq!(took, Duration::from_millis(5 * 255 + 2000));
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_listener_that_only_fails_is_unhealthy_until_it_accepts() {
    let net = Net::new();
    let errors = Arc::new(Mutex::new(VecDeque::from([24; 30])));
    let failing = Failing { inner: net.registry.clone(), errors: Arc::clone(&errors) };
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let builder = net.server().transport(failing).listen("mem:a").handler(echo).framing(Framing::Lines);
    let server = builder.bind().await.unwrap().start();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(server.unhealthy().is_empty());
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(server.unhealthy(), server.local_endpoints());
    let is_up = |server: &swapwire_server::Running| server.snapshots()[0].0.is_up;
    assert!(!is_up(&server));
    let mut session = net.connect("mem:a").await;
    assert_eq!(ask(&mut session, "alive").await, "alive");
    assert!(is_up(&server) && server.unhealthy().is_empty() && errors.lock().unwrap().is_empty());
    // Failures with peace between them are no such thing.
    drop(session);
    for _ in 0..3 {
        errors.lock().unwrap().push_back(24);
        let mut session = net.connect("mem:a").await;
        assert_eq!(ask(&mut session, "alive").await, "alive");
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    assert!(server.unhealthy().is_empty());
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_listener_that_is_dead_ends_alone_and_is_reported() {
    let net = Net::new();
    let failing = Failing { inner: net.registry.clone(), errors: Arc::new(Mutex::new(VecDeque::from([9]))) };
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let server = net
        .server()
        .transport(failing)
        .listen("mem:dead")
        .listen("mem-seq:alive")
        .handler(echo)
        .framing(Framing::Lines)
        .bind()
        .await
        .unwrap()
        .start();
    let mut session = net.connect("mem-seq:alive").await;
    assert_eq!(ask(&mut session, "x").await, "x");
    let are_up: Vec<_> = server.snapshots().into_iter().map(|(info, _)| info.is_up).collect();
    assert_eq!(are_up, [false, true]);
    drop(session);
    let report = server.stop().await;
    assert!(!report.is_clean());
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].0.to_string(), "mem:dead");
}

/// Whoever comes in the drain is served, as the listener cannot refuse them; but none makes the grace longer.
#[tokio::test(start_paused = true)]
async fn a_drain_takes_who_comes_for_no_longer_than_its_grace() {
    let net = Net::new();
    let failing = Failing { inner: net.registry.clone(), errors: Arc::default() };
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let builder = net.server().transport(failing).listen("mem:a").handler(echo).framing(Framing::Lines);
    let server = builder.bind().await.unwrap().start();
    let registry = net.registry.clone();
    let comers = tokio::spawn(async move {
        // Until nobody listens any more.
        while registry.connect(&"mem:a".parse().unwrap()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    let report = server.stop().await;
    comers.await.unwrap();
    assert!(report.is_clean() && report.stats.sessions >= 1000 / 30, "{report}");
    assert!(report.drain <= Duration::from_millis(1100), "{report}");
}
