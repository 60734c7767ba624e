//! What sessions keep while their calls wait, and while their peers do not read, counted on the heap.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::BytesMut;
use common::{Net, limits};
use dhat::{HeapStats, Profiler};
use swapwire_core::{
    Bound, ByteStream, Framing, Handler, HandlerError, HandlerProperties, Link, MessageStream, Reply, Request,
};
use swapwire_server::{Limits, PerMessage, Running};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

const KIB: usize = 1024;
const MESSAGE: usize = 64;

/// What does not grow with the sessions: sixteen buffers that are lent and five that are idle, and what
/// their replies take.
const CONSTANT: usize = 16 * READ + IDLE;
const IDLE: usize = 5 * (READ + 32 * KIB);
const READ: usize = 128 * KIB;

struct Gate {
    gate: Semaphore,
    begun: AtomicUsize,
    at_once: bool,
}

impl Handler for Gate {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        self.begun.fetch_add(1, Relaxed);
        if request.message().starts_with(b"wait") {
            self.gate.acquire().await?.forget();
        }
        let times = if request.message() == b"more" { REPLY / 4 } else { 1 };
        Ok(reply.write(|out| (0..times).for_each(|_| out.put(request.message())))?)
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(self.at_once)
    }
}

fn heap() -> usize {
    HeapStats::get().curr_bytes
}

async fn connect(net: &Net, count: usize) -> Vec<Box<dyn ByteStream>> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        match net.registry.connect(&"mem:a".parse().unwrap()).await.unwrap() {
            Link::Bytes { io, .. } => all.push(io),
            _ => panic!("a byte stream"),
        }
    }
    all
}

fn start(net: &Net, handler: &Arc<Gate>, limits: Limits) -> impl Future<Output = Running> {
    let handler = PerMessage::new(Arc::clone(handler));
    let builder = net.server().listen("mem:a").handler(handler).framing(Framing::Lines).limits(limits);
    async { builder.bind().await.unwrap().start() }
}

/// Whatever can happen has happened, on a paused clock.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

fn line(word: &[u8]) -> [u8; MESSAGE] {
    let mut line = [b'.'; MESSAGE];
    line[..word.len()].copy_from_slice(word);
    line[MESSAGE - 1] = b'\n';
    line
}

async fn exchange(clients: &mut [Box<dyn ByteStream>], message: &[u8]) {
    for client in &mut *clients {
        client.write_all(message).await.unwrap();
    }
    for client in clients {
        let mut reply = [0; MESSAGE];
        client.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply, message);
    }
}

const SESSIONS: usize = 10_000;

async fn calls_that_wait() {
    let net = Net::new();
    let handler = Arc::new(Gate { gate: Semaphore::new(0), begun: AtomicUsize::new(0), at_once: false });
    let server = start(&net, &handler, limits(|l| l.max_connections = SESSIONS)).await;
    let before = heap();
    let mut clients = connect(&net, SESSIONS).await;
    // So that the wires have what they take for a message each way.
    exchange(&mut clients, &line(b"warm")).await;
    settle().await;
    let idle = heap();

    let wait = line(b"wait");
    for client in &mut clients {
        client.write_all(&wait).await.unwrap();
    }
    settle().await;
    assert_eq!(handler.begun.load(Relaxed), 2 * SESSIONS);
    let waiting = heap();

    assert!(waiting <= idle + SESSIONS * KIB + CONSTANT, "{} B for {SESSIONS} calls", waiting - idle);

    handler.gate.add_permits(SESSIONS);
    for client in &mut clients {
        let mut reply = [0; MESSAGE];
        client.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply, wait);
    }
    settle().await;
    let again = heap();
    assert!(again <= idle + IDLE, "{} B are left of {SESSIONS} calls", again - idle);
    // What was lent is back, so it is lent again: eight calls take more than the idle buffers.
    for client in &mut clients[..8] {
        client.write_all(&wait).await.unwrap();
    }
    settle().await;
    assert!(heap() >= again + 2 * READ, "{} B for eight calls", heap() - again);
    handler.gate.add_permits(8);
    settle().await;

    drop(clients);
    sleep(Duration::from_secs(10)).await;
    let ended = heap();

    // A place in the table of sessions, and one among the deadlines.
    assert!(ended <= before + SESSIONS * 300 + CONSTANT, "{} B are left of {SESSIONS} sessions", ended - before);

    // Others take the places of those.
    const OTHERS: usize = SESSIONS / 2;
    let mut clients = connect(&net, OTHERS).await;
    exchange(&mut clients, &line(b"warm")).await;
    drop(clients);
    sleep(Duration::from_secs(10)).await;
    assert!(heap() <= ended + 128 * KIB, "{} B for {OTHERS} other sessions", heap() - ended);
    let report = server.stop().await;
    assert!(report.is_clean() && report.stats.done + report.stats.broken == (SESSIONS + OTHERS) as u64, "{report}");
}

const DEAF: usize = 200;
const REPLY: usize = 8_000;
const REQUESTS: usize = 30;
const ALL: usize = REQUESTS * (REPLY + 1);

/// What a wire of the memory network takes that is filled by so many bytes at once.
async fn full_wire(piece: usize) -> usize {
    let net = Net::new();
    let Bound::Listener(mut listener) = net.registry.bind(&"mem:a".parse().unwrap()).await.unwrap() else {
        panic!("a listener")
    };
    let client = connect(&net, 1).await;
    let Link::Bytes { mut io, .. } = listener.accept().await.unwrap().establish().await.unwrap() else {
        panic!("a byte stream")
    };
    io.write_all(&[0; MESSAGE]).await.unwrap();
    let replies = vec![0; piece];
    let before = heap();
    while timeout(Duration::from_millis(1), io.write_all(&replies)).await.is_ok() {}
    let after = heap();
    drop(client);
    after - before
}

async fn peers_that_never_read(at_once: bool, out_queue: usize) {
    let unsent = ALL.min((out_queue / (REPLY + 1) + 1) * (REPLY + 1));
    let wire = full_wire(unsent).await;
    let net = Net::new();
    let handler = Arc::new(Gate { gate: Semaphore::new(0), begun: AtomicUsize::new(0), at_once });
    let server = start(&net, &handler, limits(|l| (l.max_connections, l.out_queue) = (DEAF, out_queue))).await;
    let mut clients = connect(&net, DEAF).await;
    exchange(&mut clients, &line(b"warm")).await;
    settle().await;
    let idle = heap();
    for client in &mut clients {
        client.write_all(&b"more\n".repeat(REQUESTS)).await.unwrap();
    }
    settle().await;
    let stuck = heap();

    // The rest is for the requests; a worker's buffers were there before.
    let most = wire + unsent + 2 * KIB;
    assert!(stuck >= idle + DEAF * wire, "only {} B for {DEAF} peers: they are not stuck", stuck - idle);
    assert!(stuck <= idle + DEAF * most + 512 * KIB, "{} B for {DEAF} peers", stuck - idle);
    // They get everything all the same.
    for client in &mut clients {
        let mut replies = vec![0; ALL];
        client.read_exact(&mut replies).await.unwrap();
        assert!(replies.chunks(REPLY + 1).all(|reply| reply.starts_with(b"more") && reply.ends_with(b"more\n")));
    }
    drop(clients);
    assert!(server.stop().await.is_clean());
}

const TALKERS: usize = 1000;
const LONG: usize = 32 * KIB;

async fn tell(client: &mut Box<dyn MessageStream>, message: &[u8]) {
    poll_fn(|cx| client.poll_send(cx, message)).await.unwrap();
}

async fn hear(client: &mut Box<dyn MessageStream>, reply: &[u8]) {
    let mut heard = BytesMut::new();
    poll_fn(|cx| client.poll_recv(cx, &mut heard)).await.unwrap().unwrap();
    assert!(heard == reply);
}

/// While it is idle, a session on a message stream keeps none of the buffers that its messages went through.
async fn message_streams_that_wait() {
    let net = Net::new();
    let handler = Arc::new(Gate { gate: Semaphore::new(0), begun: AtomicUsize::new(0), at_once: false });
    let builder = net.server().listen("mem-seq:a").handler(PerMessage::new(Arc::clone(&handler)));
    let server = builder.limits(limits(|l| l.max_connections = TALKERS)).bind().await.unwrap().start();
    let mut clients = Vec::new();
    for _ in 0..TALKERS {
        match net.registry.connect(&"mem-seq:a".parse().unwrap()).await.unwrap() {
            Link::Messages { io, .. } => clients.push(io),
            _ => panic!("a message stream"),
        }
    }
    let (short, long) = ([b'.'; MESSAGE], vec![b'.'; LONG]);
    for client in &mut clients {
        tell(client, &short).await;
        hear(client, &short).await;
    }
    settle().await;
    let idle = heap();
    for client in &mut clients {
        tell(client, &long).await;
        hear(client, &long).await;
    }
    settle().await;
    // What one thread keeps for the next message: of three buffers, each may have grown to twice the message.
    assert!(heap() <= idle + 6 * LONG + TALKERS * 64, "{} B for {TALKERS} sessions", heap() - idle);

    // A call that waits keeps its message, and all of them at once do.
    let mut wait = long.clone();
    wait[..4].copy_from_slice(b"wait");
    let wait = wait;
    for client in &mut clients {
        tell(client, &wait).await;
    }
    settle().await;
    assert!(heap() >= idle + TALKERS * LONG, "only {} B for {TALKERS} calls: they do not wait", heap() - idle);
    handler.gate.add_permits(TALKERS);
    for client in &mut clients {
        hear(client, &wait).await;
    }
    settle().await;
    assert!(heap() <= idle + 6 * LONG + TALKERS * 64, "{} B are left of {TALKERS} calls", heap() - idle);
    drop(clients);
    assert!(server.stop().await.is_clean());
}

/// One test: the heap is counted for the whole process.
#[tokio::test(start_paused = true)]
async fn sessions_keep_what_is_theirs_and_no_buffer_of_the_worker() {
    let _profiler = Profiler::builder().testing().build();
    calls_that_wait().await;
    message_streams_that_wait().await;
    for at_once in [false, true] {
        // Written between the calls of one read, and behind them.
        for out_queue in [10_000, 256 * KIB] {
            peers_that_never_read(at_once, out_queue).await;
        }
    }
}
