//! What a connection keeps.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use dhat::{HeapStats, Profiler};
use swapwire_core::{Bound, Endpoint, Link, Registry};
use swapwire_mem::MemNetwork;
use swapwire_stack::WithLayer as _;
use swapwire_tls::Tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[global_allocator]
static ALLOC: dhat::Alloc = dhat::Alloc;

const CONNECTIONS: usize = 100;
const MOST: usize = 8 << 10;
const MESSAGE: usize = 100_000;

/// Bytes for each connection, both ends together, that have talked and wait.
async fn both_ends(endpoint: &str) -> usize {
    let registry = Registry::new().with(MemNetwork::new()).with_layer(Tls::new());
    let endpoint: Endpoint = endpoint.parse().unwrap();
    let Bound::Listener(mut listener) = registry.bind(&endpoint).await.unwrap() else { panic!("no listener") };
    let dial = listener.dial();
    let mut kept = Vec::with_capacity(CONNECTIONS);
    let mut before = 0;
    for number in 0..=CONNECTIONS {
        if number == 1 {
            before = HeapStats::get().curr_bytes;
        }
        let accept = async { listener.accept().await.unwrap().establish().await.unwrap() };
        let (client, server) = tokio::join!(registry.connect(&dial), accept);
        let (Link::Bytes { io: mut client, .. }, Link::Bytes { io: mut server, .. }) = (client.unwrap(), server) else {
            panic!("no byte streams")
        };
        let mut got = vec![0; MESSAGE];
        let (sent, read) = tokio::join!(
            async {
                client.write_all(&[7; MESSAGE]).await?;
                client.flush().await
            },
            server.read_exact(&mut got)
        );
        sent.unwrap();
        read.unwrap();
        kept.push((client, server));
    }
    (HeapStats::get().curr_bytes - before) / CONNECTIONS
}

#[tokio::test]
async fn an_idle_connection_takes_less_than_8_kib_at_either_end() {
    let _profiler = Profiler::builder().testing().build();
    let plain = both_ends("mem:plain").await;
    for (name, options) in [("1.3", "min_version=1.3"), ("with tickets", "tickets=true")] {
        let tls = both_ends(&format!("tls+mem:s?self_signed=true&{options}")).await;
        println!("{name}: {} B for both ends, of which {plain} B in memory alone", tls);
        assert!(tls <= plain + 2 * MOST, "{name}: {tls} B, without TLS {plain} B");
    }
}
