//! How many messages a server takes when they come faster than it answers: a few connections, each with many messages
//! under way, from one thread; the server has another one.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says where and stops")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody links to a bench")]

mod common;

use std::time::{Duration, Instant};

use common::client::say_resent;
use common::{Kind, Raw, SIZES, Server, Wave, Wire};
use criterion::{BenchmarkId, Criterion};
use tokio::task::JoinSet;

const CONNECTIONS: usize = 4;

/// How many messages a connection keeps under way. A datagram socket's queue in the system decides what is possible
/// without loss: on Linux 10 datagrams of a Unix socket (`unix(7)`, `max_dgram_qlen`), and about 6 of 16 KiB in the
/// 208 KiB of a UDP socket (`net.core.rmem_default`).
const fn depth(wire: Wire, size: usize) -> usize {
    match wire {
        Wire::Udp if size > 8 * 1024 => 1,
        Wire::UnixDgram => 8,
        _ => 16,
    }
}

fn main() {
    let mut criterion = common::criterion();
    for wire in Wire::ALL {
        matrix(&mut criterion, wire);
    }
    criterion.final_summary();
}

fn matrix(criterion: &mut Criterion, wire: Wire) {
    let mut group = common::group(criterion, "throughput", wire);
    for size in SIZES {
        let depth = depth(wire, size);
        group.throughput(common::throughput(CONNECTIONS * depth, size));
        for kind in Kind::BOTH {
            group.bench_function(BenchmarkId::new(kind.name(), size), |bencher| {
                let client = common::client_runtime();
                let server = Server::start(kind, wire, &client);
                let mut connections: Vec<Connection> = client.block_on(async {
                    let mut connections = Vec::new();
                    for _ in 0..CONNECTIONS {
                        connections.push(Connection::new(&server, depth, size).await);
                    }
                    connections
                });
                bencher.iter_custom(|waves| client.block_on(run(&mut connections, waves)));
            });
            say_resent(&format!("throughput/{}/{}/{size}", wire.name(), kind.name()));
        }
    }
    group.finish();
}

struct Connection {
    raw: Raw,
    wave: Wave,
    buf: Vec<u8>,
}

impl Connection {
    async fn new(server: &Server, depth: usize, size: usize) -> Self {
        Self { raw: Raw::connect(server).await, wave: Wave::new(depth, size), buf: vec![0; depth * size] }
    }
}

/// Each connection in a task of its own; none waits for the others.
async fn run(connections: &mut Vec<Connection>, waves: u64) -> Duration {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in connections.drain(..) {
        tasks.spawn(async move {
            for _ in 0..waves {
                connection.raw.exchange(&mut connection.wave, &mut connection.buf).await;
            }
            connection
        });
    }
    *connections = tasks.join_all().await;
    begun.elapsed()
}
