//! Over the memory network, with a clock that stands still.

mod bounds;
mod page;
mod reloads;
mod rules;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use swapwire_core::{ByteStream, Endpoint, Link, Registry, async_trait};
use swapwire_mem::MemNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::{Admin, ListenerStatus, ReloadError, Source, Status, Traffic};

/// A server with these numbers.
#[derive(Clone, Default)]
struct Shown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    not_ready: Option<String>,
    metrics: String,
    /// Reloads that began; those that ended.
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Each waits for one of these, and then fails if there is a reason.
    go: Option<Notify>,
    fails: Option<String>,
}

#[async_trait]
impl Source for Shown {
    fn metrics(&self) -> String {
        assert_ne!(self.0.metrics, "panic", "as asked");
        self.0.metrics.clone()
    }

    fn status(&self) -> Status {
        let front = ListenerStatus {
            name: "front \"door\"".to_owned(),
            transport: "tcp".to_owned(),
            endpoints: vec!["tcp://127.0.0.1:7000".to_owned()],
            is_healthy: true,
            sessions_open: 2,
            received: Traffic { messages: 3, bytes: u64::MAX },
            counters: vec![("sessions", 5), ("done", 3)],
            ..ListenerStatus::default()
        };
        Status {
            version: "1.2.3".to_owned(),
            uptime: Duration::from_millis(1500),
            not_ready: self.0.not_ready.clone(),
            listeners: vec![front],
            limits: vec![("max_message", "64KiB".to_owned())],
            ..Status::default()
        }
    }

    async fn reload(&self) -> Result<String, ReloadError> {
        self.0.begun.fetch_add(1, Relaxed);
        if let Some(go) = &self.0.go {
            go.notified().await;
        }
        self.0.ended.fetch_add(1, Relaxed);
        match &self.0.fails {
            Some(reason) => Err(ReloadError::Failed(reason.clone())),
            None => Ok("2 listeners changed".to_owned()),
        }
    }
}

/// An admin endpoint that runs on the test's runtime.
struct Served {
    registry: Registry,
    endpoint: Endpoint,
    task: JoinHandle<()>,
}

impl Served {
    async fn new(source: impl Source) -> Self {
        let registry = Registry::new().with(MemNetwork::new());
        let endpoint: Endpoint = "mem:admin".parse().unwrap();
        let bound = Admin::new().hosts(["ops.example"]).bind(&registry, &endpoint, source).await.unwrap();
        Self { registry, endpoint, task: tokio::spawn(bound.into_service().run()) }
    }

    async fn connect(&self) -> Box<dyn ByteStream> {
        match self.registry.connect(&self.endpoint).await.unwrap() {
            Link::Bytes { io, .. } => io,
            other => panic!("{other:?}"),
        }
    }

    /// The whole answer to these bytes.
    async fn ask(&self, request: &str) -> String {
        let mut io = self.connect().await;
        io.write_all(request.as_bytes()).await.unwrap();
        read(&mut io).await
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(io: &mut Box<dyn ByteStream>) -> String {
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The number of an answer's status.
fn code(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").map_or(answer, |rest| &rest[..3])
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}
