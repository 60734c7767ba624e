//! The generator allocates for connections and rounds, and not for messages.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot run says where and stops")]

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use swapwire_bench::{Conditions, Expect, Goal, Load, ServerKind, Sizes, Target, measure_once};
use swapwire_core::{Bound, Endpoint, Link, RecvBatch, Registry, SendBatch};
use swapwire_mem::MemNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

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

/// Blocks allocated by all threads while so many requests are measured.
fn blocks(target: &Target, load: &Load, registry: &Registry, requests: u64) -> u64 {
    let conditions = Conditions {
        expect: Expect::Echo,
        goal: Goal::Requests(requests),
        warmup: Duration::from_millis(20),
        // None that a busy machine could miss.
        timeout: Some(Duration::from_secs(60)),
        ..Conditions::default()
    };
    let before = dhat::HeapStats::get().total_blocks;
    let round = measure_once(target, load, &conditions, registry).unwrap();
    assert_eq!((round.requests, round.answered), (requests, requests), "{:?}", round.faults);
    dhat::HeapStats::get().total_blocks - before
}

#[test]
fn messages_cost_no_allocation() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let registry = Registry::new().with(MemNetwork::new());
    // The network in memory keeps each datagram in a block of its own, on the way there and back, and some for who waits.
    for (scheme, of_the_wire) in [("mem", 0), ("mem-dgram", 50_000)] {
        let endpoint: Endpoint = format!("{scheme}:echo").parse().unwrap();
        serve(registry.clone(), endpoint.clone());
        let target = Target { name: scheme.to_owned(), endpoint, server: ServerKind::SameProcess };
        for (pipeline, rate) in [(1, None), (8, None), (8, Some(100_000.0))] {
            let load = Load { sizes: Sizes::Between(16, 100), connections: 4, pipeline, rate };
            blocks(&target, &load, &registry, 1000);
            let (few, many) = (blocks(&target, &load, &registry, 2000), blocks(&target, &load, &registry, 22_000));
            let more = many.saturating_sub(few);
            // Histograms and the timeline grow a little with what they see.
            assert!(
                more < of_the_wire + 200,
                "{scheme}, pipeline {pipeline}, {rate:?}: {more} blocks for 20,000 messages"
            );
        }
    }
}
