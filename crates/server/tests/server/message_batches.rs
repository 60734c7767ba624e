//! Message streams: what has arrived is handled together, and what is replied leaves together.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::common::assembled::{Assembled, Clients, PING};
use crate::common::limits;
use swapwire_core::{
    Handler, HandlerError, HandlerProperties, Reply, Request, Session, SessionHandler, async_trait, handler_fn,
};
use swapwire_server::{IntoService, Limits, PerMessage, PerSession, Running, Server, Service};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

const IDLE: Duration = Duration::from_secs(10);
/// What the clock of the server may be late, and what a test's own may be.
const LATE: Duration = Duration::from_millis(200);

/// Echoes, once its gate is open.
struct Gate {
    gate: Semaphore,
    waiting: std::sync::atomic::AtomicUsize,
}

impl Handler for Gate {
    fn properties(&self) -> HandlerProperties {
        HandlerProperties::default()
    }

    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        if self.gate.available_permits() == 0 {
            self.waiting.fetch_add(1, Relaxed);
        }
        self.gate.acquire().await?.forget();
        self.gate.add_permits(1);
        Ok(reply.send(request.message())?)
    }
}

struct Echo;

#[async_trait]
impl SessionHandler for Echo {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            session.send(message).await?;
        }
        Ok(())
    }
}

fn echo() -> Arc<dyn Service> {
    PerMessage::new(handler_fn(|request, reply| Ok(reply.send(request.message())?))).into_service()
}

async fn start(service: Arc<dyn Service>, limits: Limits) -> (Running, Clients) {
    let transport = Assembled::new();
    let clients = transport.clients();
    let builder = Server::builder().transport(transport).listen("assembled:here").limits(limits).handler(service);
    (builder.bind().await.unwrap().start(), clients)
}

/// Frames of messages with numbers, from `from` to `to`, each of `len` bytes at least.
fn numbered(from: usize, to: usize, len: usize) -> Vec<u8> {
    let frame = |number: usize| {
        let message = format!("{number:>len$}");
        [&u16::try_from(message.len()).unwrap().to_be_bytes(), message.as_bytes()].concat()
    };
    (from..to).flat_map(frame).collect()
}

async fn heard(client: &mut DuplexStream, frames: &[u8]) {
    let mut got = vec![0; frames.len()];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, frames);
}

#[tokio::test(start_paused = true)]
async fn sixteen_messages_are_answered_with_one_batch_and_one_flush() {
    for waits in [false, true] {
        let gate = Gate { gate: Semaphore::new(1), waiting: Default::default() };
        let service = if waits { PerMessage::new(gate).into_service() } else { echo() };
        let (server, clients) = start(service, Limits::default()).await;
        let mut client = clients.connect(1 << 16).await;
        for round in 1..4 {
            let frames = numbered(0, 16, 5);
            client.write_all(&frames).await.unwrap();
            heard(&mut client, &frames).await;
            let calls = clients.calls();
            let counts = (calls.batches.load(Relaxed), calls.flushes.load(Relaxed));
            assert_eq!(counts, (round, round), "waits: {waits}");
        }
        drop(client);
        let report = server.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.stats.messages, 3 * 16);
    }
}

/// More calls wait than buffers of the worker are lent, each with messages behind its own.
#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_call_keeps_its_order() {
    const CLIENTS: usize = 50;
    let gate = Arc::new(Gate { gate: Semaphore::new(0), waiting: Default::default() });
    let (server, clients) = start(PerMessage::new(Arc::clone(&gate)).into_service(), Limits::default()).await;
    let mut all = Vec::new();
    for i in 0..CLIENTS {
        let mut client = clients.connect(1 << 16).await;
        client.write_all(&numbered(100 * i, 100 * i + 20, 5)).await.unwrap();
        all.push(client);
    }
    while gate.waiting.load(Relaxed) < CLIENTS {
        sleep(Duration::from_millis(1)).await;
    }
    // Behind what is held already.
    for (i, client) in all.iter_mut().enumerate() {
        client.write_all(&numbered(100 * i + 20, 100 * i + 30, 5)).await.unwrap();
    }
    gate.gate.add_permits(1);
    for (i, client) in all.iter_mut().enumerate() {
        heard(client, &numbered(100 * i, 100 * i + 30, 5)).await;
    }
    drop(all);
    assert_eq!(server.stop().await.stats.messages, 30 * CLIENTS as u64);
}

/// The queue fills within a batch, and the peer takes the replies a few bytes at a time.
#[tokio::test(start_paused = true)]
async fn a_full_queue_within_a_batch_loses_nothing() {
    for waits in [false, true] {
        for out_queue in [1, 64, 1 << 20] {
            let gate = Gate { gate: Semaphore::new(1), waiting: Default::default() };
            let service = if waits { PerMessage::new(gate).into_service() } else { echo() };
            let (server, clients) = start(service, limits(|l| l.out_queue = out_queue)).await;
            let mut client = clients.connect(7).await;
            let frames = numbered(0, 100, 30);
            let (mut reader, mut writer) = tokio::io::split(&mut client);
            let asks = async { writer.write_all(&frames).await.unwrap() };
            let mut got = vec![0; frames.len()];
            let answers = async { reader.read_exact(&mut got).await.unwrap() };
            tokio::join!(asks, answers);
            assert_eq!(got, frames, "{waits}, {out_queue}");
            drop(client);
            assert_eq!(server.stop().await.stats.messages, 100);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn control_messages_put_the_idle_deadline_off() {
    for per_session in [false, true] {
        let service = if per_session { PerSession::new(Echo).into_service() } else { echo() };
        let (server, clients) = start(service, limits(|l| l.idle_timeout = Some(IDLE))).await;
        let mut client = clients.connect(1024).await;
        client.write_all(&numbered(0, 1, 5)).await.unwrap();
        heard(&mut client, &numbered(0, 1, 5)).await;
        for _ in 0..5 {
            sleep(IDLE * 2 / 3).await;
            client.write_all(&PING).await.unwrap();
        }
        let last = Instant::now();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        let late = last.elapsed();
        assert!(late >= IDLE && late <= IDLE + LATE, "{per_session}: {late:?}");
        let stats = server.stop().await.stats;
        assert_eq!((stats.idle_timeouts, stats.messages), (1, 1), "{per_session}");
    }
}
