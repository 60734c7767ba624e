//! Once warm, a bound socket receives and answers without touching the heap, and so does a connected one.
#![cfg(all(target_os = "linux", not(swapwire_plain)))]

use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::BytesMut;
use swapwire_core::{
    Addr, Bound, DatagramSocket, Endpoint, Link, MessageStream, RecvBatch, RecvError, SendBatch, SendError, Transport,
};
use swapwire_udp::Udp;

#[global_allocator]
static HEAP: dhat::Alloc = dhat::Alloc;

const ROUNDS: usize = 20;
const MESSAGES: u8 = 50;

/// What each warm round took from the heap.
struct Heap {
    rounds: Vec<u64>,
    before: u64,
}

impl Heap {
    fn begin() -> Self {
        Self { rounds: Vec::with_capacity(ROUNDS), before: 0 }
    }

    fn begin_round(&mut self) {
        self.before = dhat::HeapStats::get().total_blocks;
    }

    fn end_round(&mut self) {
        self.rounds.push(dhat::HeapStats::get().total_blocks - self.before);
    }

    /// The test harness has a thread of its own: where that allocates, one round shows it, or two.
    fn judge(&self, what: &str) {
        let loud = self.rounds.iter().skip(2).filter(|blocks| **blocks > 0).count();
        assert!(loud <= 2, "{what} allocates: {:?} blocks", self.rounds);
    }
}

/// Two sizes in turn and runs of one size: both the single and the segmented way out.
fn message(i: u8) -> &'static [u8] {
    if i.is_multiple_of(2) || i > 25 { b"a message" } else { b"short" }
}

async fn echo(server: &mut dyn DatagramSocket, batch: &mut RecvBatch, replies: &mut SendBatch) {
    let mut done = 0;
    while done < usize::from(MESSAGES) {
        batch.clear();
        poll_fn(|cx| server.poll_recv(cx, batch)).await.expect("datagrams");
        replies.clear();
        for (meta, message) in batch.datagrams() {
            replies.push(message, meta.peer.expect("UDP has senders"), meta.local);
        }
        done += replies.len();
        let mut sent = 0;
        while sent < replies.len() {
            sent += poll_fn(|cx| server.poll_send(cx, replies, sent)).await.expect("room");
        }
    }
}

/// Whether what the server receives, and so what the client does, has been a train once.
fn has_train(batch: &RecvBatch) -> bool {
    batch.iter().any(|(meta, _)| meta.segment.is_some())
}

/// A stream with the default calls for batches.
struct Singly(Box<dyn MessageStream>);

impl MessageStream for Singly {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<Option<usize>, RecvError>> {
        self.0.poll_recv(cx, into)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<(), SendError>> {
        self.0.poll_send(cx, message)
    }

    fn max_message(&self) -> usize {
        self.0.max_message()
    }
}

async fn bind(endpoint: &str) -> Box<dyn DatagramSocket> {
    let endpoint: Endpoint = endpoint.parse().expect("an endpoint");
    let Bound::Socket(server) = Udp::new().bind(&endpoint).await.expect("loopback works") else { panic!("a socket") };
    server
}

async fn connect(endpoint: &Endpoint) -> (Box<dyn MessageStream>, Addr) {
    let Link::Messages { io, info } = Udp::new().connect(endpoint).await.expect("loopback works") else {
        panic!("messages")
    };
    (io, *info.peer.addr())
}

async fn bound() {
    for bound in ["udp://127.0.0.1:0", "udp://0.0.0.0:0", "udp://[::1]:0", "udp://[::]:0?v6_only=false"] {
        let mut server = bind(bound).await;
        let port = server.local().to_string().rsplit_once(':').expect("a port").1.to_owned();
        let host = if bound.contains("[::1]") { "[::1]" } else { "127.0.0.1" };
        let client = std::net::UdpSocket::bind(format!("{host}:0")).expect("loopback works");
        client.connect(format!("{host}:{port}")).expect("loopback works");
        let (mut batch, mut replies) = (RecvBatch::new(32, server.slot_size()), SendBatch::new());
        let mut heap = Heap::begin();
        let mut back = [0; 16];
        for _ in 0..ROUNDS {
            (0..MESSAGES).for_each(|i| assert!(client.send(message(i)).is_ok()));
            heap.begin_round();
            echo(server.as_mut(), &mut batch, &mut replies).await;
            heap.end_round();
            (0..MESSAGES).for_each(|_| assert!(client.recv(&mut back).is_ok()));
        }
        heap.judge(bound);
    }
}

async fn connected() {
    let mut server = bind("udp://127.0.0.1:0").await;
    let (mut theirs, mut replies) = (RecvBatch::new(32, server.slot_size()), SendBatch::new());
    for default in [false, true] {
        let (io, peer) = connect(&server.local()).await;
        let mut io = if default { Box::new(Singly(io)) } else { io };
        let (mut batch, mut requests) = (RecvBatch::new(16, 64), SendBatch::new());
        let mut heap = Heap::begin();
        for _ in 0..ROUNDS {
            heap.begin_round();
            requests.clear();
            (0..MESSAGES).for_each(|i| requests.push(message(i), peer, None));
            let mut sent = 0;
            while sent < requests.len() {
                sent += poll_fn(|cx| io.poll_send_batch(cx, &requests, sent)).await.expect("room");
            }
            echo(server.as_mut(), &mut theirs, &mut replies).await;
            let mut received = 0;
            while received < usize::from(MESSAGES) {
                batch.clear();
                received += poll_fn(|cx| io.poll_recv_batch(cx, &mut batch)).await.expect("datagrams").expect("no end");
            }
            heap.end_round();
        }
        assert!(default || has_train(&theirs), "requests came one by one");
        heap.judge(if default { "the default for batches" } else { "a connected socket" });
    }
}

#[tokio::test]
async fn a_warm_socket_does_not_allocate() {
    let _profiler = dhat::Profiler::builder().testing().build();
    bound().await;
    connected().await;
}
