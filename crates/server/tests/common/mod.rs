//! A server on a memory network, and its clients.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "each test file uses a part"
)]

pub mod assembled;
pub mod farewell;
pub mod forged;
pub mod framed;
pub mod hostile;
pub mod inet;
pub mod log;
pub mod numbered;
pub mod script;
pub mod shaking;
pub mod stopped;
pub mod wide;

use std::time::Duration;

use swapwire_core::{Framing, Registry, Session, SessionConfig};
use swapwire_mem::MemNetwork;
use swapwire_server::{IntoService, Limits, Running, Server, ServerBuilder, Snapshot};

pub struct Net {
    pub registry: Registry,
}

impl Net {
    pub fn new() -> Self {
        Self { registry: Registry::new().with(MemNetwork::new()).with(wide::Wide::new()) }
    }

    pub fn server(&self) -> ServerBuilder {
        Server::builder().registry(self.registry.clone())
    }

    pub async fn start<K>(&self, endpoint: &str, handler: impl IntoService<K>) -> Running {
        self.start_limited(endpoint, handler, Limits::default()).await
    }

    pub async fn start_limited<K>(&self, endpoint: &str, handler: impl IntoService<K>, limits: Limits) -> Running {
        let builder = self.server().listen(endpoint).handler(handler).framing(Framing::Lines).limits(limits);
        builder.bind().await.unwrap().start()
    }

    pub async fn connect(&self, endpoint: &str) -> Session {
        self.connect_framed(endpoint, Framing::Lines).await
    }

    pub async fn connect_framed(&self, endpoint: &str, framing: Framing) -> Session {
        let link = self.registry.connect(&endpoint.parse().unwrap()).await.unwrap();
        Session::new(link, SessionConfig::framed(framing))
    }
}

pub async fn ask(session: &mut Session, message: &str) -> String {
    session.send(message).await.unwrap();
    text(session).await
}

pub async fn text(session: &mut Session) -> String {
    let message = session.recv().await.unwrap().expect("a message, not the end");
    String::from_utf8(message.to_vec()).unwrap()
}

/// Limits that a test can wait for on a paused clock.
pub fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    limits.drain_timeout = Duration::from_secs(5);
    change(&mut limits);
    limits
}

/// Waits, on a paused clock, until the counters say so.
pub async fn until(server: &Running, what: impl Fn(&Snapshot) -> bool) {
    for _ in 0..100_000 {
        if what(&server.snapshot()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never came to that: {:?}", server.snapshot());
}
