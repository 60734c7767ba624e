//! The generator allocates for connections and rounds, and not for messages.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot run says where and stops")]

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use async_trait::async_trait;

use swapwire_bench::{Conditions, Expect, Goal, Load, ServerKind, Sizes, Target, measure_once};
use swapwire_core::{
    BindError, Bound, Capabilities, ConnectError, Decoded, Endpoint, FrameDecoder, FrameEncoder, FrameError,
    FrameFactory, FrameReader, FrameWriter, Framing, Link, RecvBatch, Registry, SendBatch, Transport,
};
use swapwire_mem::MemNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// The network in memory, whose streams bring a framing: a length of four bytes.
struct Framed(MemNetwork);

#[async_trait]
impl Transport for Framed {
    fn schemes(&self) -> Vec<Cow<'static, str>> {
        vec!["framed".into()]
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        Capabilities::message_stream(1 << 20)
    }

    async fn bind(&self, endpoint: &Endpoint) -> Result<Bound, BindError> {
        self.0.bind(&below(endpoint)).await
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        let Link::Bytes { io, info } = self.0.connect(&below(endpoint)).await? else { unreachable!() };
        Ok(Link::framed(io, Framing::frames(Lengths), info))
    }
}

fn below(endpoint: &Endpoint) -> Endpoint {
    Endpoint::new("mem", endpoint.place().clone()).unwrap()
}

struct Lengths;

struct Length<T>(T);

impl FrameFactory for Lengths {
    fn reader(&self, max: usize) -> Box<dyn FrameReader> {
        Box::new(Length("length".parse::<Framing>().unwrap().decoder(max)))
    }

    fn writer(&self, max: usize) -> Box<dyn FrameWriter> {
        Box::new(Length("length".parse::<Framing>().unwrap().encoder(max)))
    }
}

impl FrameReader for Length<FrameDecoder> {
    fn decode(&mut self, unread: &mut [u8], eof: bool) -> Result<Decoded, FrameError> {
        self.0.decode(unread, eof)
    }
}

impl FrameWriter for Length<FrameEncoder> {
    fn begin(&self, out: &mut Vec<u8>) {
        self.0.begin(out);
    }

    fn finish(&mut self, out: &mut Vec<u8>, start: usize) -> Result<(), FrameError> {
        self.0.finish(out, start)
    }
}

/// Datagrams that were echoed, those of the warm-up too.
static DATAGRAMS: AtomicU64 = AtomicU64::new(0);

/// An echo in memory, on a thread of its own, until the process ends.
fn serve(registry: Registry, endpoint: Endpoint) {
    let (ready, is_ready) = sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bound = registry.bind(&endpoint).await.unwrap();
            ready.send(()).unwrap();
            match bound {
                Bound::Listener(mut listener) => loop {
                    let link = listener.accept().await.unwrap().establish().await.unwrap();
                    let Link::Bytes { mut io, .. } = link else { panic!("{link:?}") };
                    tokio::spawn(async move {
                        let mut buffer = vec![0; 4096];
                        while let Ok(len @ 1..) = io.read(&mut buffer).await {
                            io.write_all(&buffer[..len]).await.unwrap();
                        }
                    });
                },
                Bound::Socket(mut socket) => {
                    let (mut batch, mut out) = (RecvBatch::new(32, 128), SendBatch::new());
                    loop {
                        batch.clear();
                        out.clear();
                        std::future::poll_fn(|cx| socket.poll_recv(cx, &mut batch)).await.unwrap();
                        for (meta, message) in batch.iter() {
                            out.push(message, meta.peer.unwrap(), None);
                        }
                        DATAGRAMS.fetch_add(batch.len() as u64, Relaxed);
                        let mut sent = 0;
                        while sent < out.len() {
                            sent += std::future::poll_fn(|cx| socket.poll_send(cx, &out, sent)).await.unwrap();
                        }
                    }
                }
                bound => panic!("{bound:?}"),
            }
        });
    });
    is_ready.recv().unwrap();
}

/// Blocks allocated by all threads while so many requests are measured, without those of the network in memory: it keeps each
/// datagram in a block of its own, there and back, and its queues have at most one for 16 of them.
fn blocks(target: &Target, load: &Load, registry: &Registry, requests: u64) -> u64 {
    let conditions = Conditions {
        expect: Expect::Echo,
        goal: Goal::Requests(requests),
        warmup: Duration::from_millis(20),
        // None that a busy machine could miss.
        timeout: Some(Duration::from_secs(60)),
        ..Conditions::default()
    };
    let (before, datagrams) = (dhat::HeapStats::get().total_blocks, DATAGRAMS.load(Relaxed));
    let round = measure_once(target, load, &conditions, registry).unwrap();
    assert_eq!((round.requests, round.answered), (requests, requests), "{:?}", round.faults);
    let datagrams = DATAGRAMS.load(Relaxed) - datagrams;
    (dhat::HeapStats::get().total_blocks - before).saturating_sub(2 * datagrams + datagrams / 16)
}

#[test]
fn messages_cost_no_allocation() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let network = MemNetwork::new();
    let registry = Registry::new().with(network.clone()).with(Framed(network));
    for scheme in ["mem", "framed", "mem-dgram"] {
        let endpoint: Endpoint = format!("{scheme}:{scheme}").parse().unwrap();
        serve(registry.clone(), endpoint.clone());
        let target = Target { name: scheme.to_owned(), endpoint, server: ServerKind::SameProcess };
        for (pipeline, rate) in [(1, None), (8, None), (8, Some(100_000.0))] {
            let load = Load { sizes: Sizes::Between(16, 100), connections: 4, pipeline, rate };
            blocks(&target, &load, &registry, 1000);
            let (few, many) = (blocks(&target, &load, &registry, 2000), blocks(&target, &load, &registry, 22_000));
            let more = many.saturating_sub(few);
            // Histograms and the timeline grow a little with what they see.
            assert!(more < 200, "{scheme}, pipeline {pipeline}, {rate:?}: {more} blocks for 20,000 messages");
        }
    }
}
