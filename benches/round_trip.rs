//! How long one message takes there and back: one connection, one message under way. And what our client costs beside a
//! plain socket, both against our server.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where and stops")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody links to a bench")]

mod common;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use common::client::{PATIENCE, RESENT, say_resent};
use common::{Kind, Raw, SIZES, Server, Wave, Wire};
use criterion::{BenchmarkId, Criterion};
use swapwire::{Session, SessionConfig};
use tokio::time::timeout;

fn main() {
    let mut criterion = common::criterion();
    for wire in Wire::ALL {
        servers(&mut criterion, wire);
    }
    for wire in Wire::ALL {
        clients(&mut criterion, wire);
    }
    criterion.final_summary();
}

/// The same client against both servers.
fn servers(criterion: &mut Criterion, wire: Wire) {
    let mut group = common::group(criterion, "round-trip", wire);
    for size in SIZES {
        group.throughput(common::throughput(1, size));
        for kind in Kind::BOTH {
            group.bench_function(BenchmarkId::new(kind.name(), size), |bencher| raw(bencher, kind, wire, size));
            say_resent(&format!("round-trip/{}/{}/{size}", wire.name(), kind.name()));
        }
    }
    group.finish();
}

/// Both clients against the same server.
fn clients(criterion: &mut Criterion, wire: Wire) {
    let mut group = common::group(criterion, "client", wire);
    for size in SIZES {
        group.throughput(common::throughput(1, size));
        group.bench_function(BenchmarkId::new("session", size), |bencher| session(bencher, wire, size));
        group.bench_function(BenchmarkId::new("raw", size), |bencher| raw(bencher, Kind::Swapwire, wire, size));
        say_resent(&format!("client/{}/{size}", wire.name()));
    }
    group.finish();
}

fn raw(bencher: &mut criterion::Bencher<'_>, kind: Kind, wire: Wire, size: usize) {
    let client = common::client_runtime();
    let server = Server::start(kind, wire, &client);
    let mut raw = client.block_on(Raw::connect(&server));
    let (mut wave, mut buf) = (Wave::new(1, size), vec![0; size]);
    bencher.iter_custom(|messages| {
        client.block_on(async {
            let begun = Instant::now();
            for _ in 0..messages {
                raw.exchange(&mut wave, &mut buf).await;
            }
            begun.elapsed()
        })
    });
}

fn session(bencher: &mut criterion::Bencher<'_>, wire: Wire, size: usize) {
    let client = common::client_runtime();
    let server = Server::start(Kind::Swapwire, wire, &client);
    let connect = swapwire::connect_with(&server.registry, server.endpoint.clone(), SessionConfig::default());
    let mut session = client.block_on(connect).unwrap();
    let mut wave = Wave::new(1, size);
    bencher.iter_custom(|messages| {
        client.block_on(async {
            let begun = Instant::now();
            for _ in 0..messages {
                wave.renew();
                exchange(&mut session, &wave, wire).await;
            }
            begun.elapsed()
        })
    });
}

async fn exchange(session: &mut Session, wave: &Wave, wire: Wire) {
    loop {
        session.send(&wave.requests).await.unwrap();
        if !is_datagram(wire) {
            return receive(session, wave, wire).await;
        }
        match timeout(PATIENCE, receive(session, wave, wire)).await {
            Ok(()) => return,
            Err(_) => RESENT.fetch_add(1, Relaxed),
        };
    }
}

async fn receive(session: &mut Session, wave: &Wave, wire: Wire) {
    let mut have = 0;
    while have < wave.replies.len() {
        let chunk = session.recv().await.unwrap().expect("the server closed");
        if is_datagram(wire) && wave.answered(&chunk).is_none() {
            continue;
        }
        assert!(wave.replies[have..].starts_with(&chunk), "a wrong reply");
        have += chunk.len();
    }
}

const fn is_datagram(wire: Wire) -> bool {
    matches!(wire, Wire::Udp | Wire::UnixDgram)
}
