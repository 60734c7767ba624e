//! Futures that are dropped on the system's own wires, as `crates/server/tests/cancellation` does on memory: nothing is
//! lost or doubled, and every descriptor is given back.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, dead_code, reason = "helpers of tests, of which this one uses a part")]

#[path = "../crates/server/tests/cancellation/datagrams.rs"]
mod datagrams;
#[path = "../crates/server/tests/cancellation/drops.rs"]
mod drops;
#[path = "../crates/server/tests/cancellation/halves.rs"]
mod halves;
#[path = "../crates/server/tests/cancellation/links.rs"]
mod links;
#[path = "../crates/server/tests/cancellation/talk.rs"]
mod talk;
#[path = "../crates/server/tests/cancellation/wires.rs"]
mod wires;

use std::fs;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use swapwire::handlers::Echo;
use swapwire::{Endpoint, Framing, Registry, Server, SessionConfig, connect_with, default_registry};
use swapwire_testkit::{Dice, drop_after, drop_after_eager};
use tokio::runtime::{Builder, Handle};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// Rounds over all wires; each drops some thousands of futures.
const ROUNDS: u64 = 60;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One test, because descriptors are counted.
#[test]
fn every_descriptor_is_given_back() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let streams = ["tcp://127.0.0.1:0".to_owned(), format!("unix:{}", path("stream"))];
    let sockets = ["udp://127.0.0.1:0".to_owned(), format!("unix-dgram:{}", path("datagram"))];
    let all = |seed| {
        let round = round(seed, &streams, &sockets);
        let dropped = runtime.block_on(async { timeout(Duration::from_secs(120), round).await });
        dropped.unwrap_or_else(|_| panic!("round {seed} hangs"))
    };
    // Whatever is opened once is open now.
    let mut dropped = all(0);
    let before = descriptors();
    for seed in 1..=ROUNDS {
        dropped += all(seed);
        runtime.block_on(async {
            let all_closed = async {
                while descriptors() != before {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let closed = timeout(Duration::from_secs(60), all_closed).await;
            assert!(closed.is_ok(), "descriptors are left after round {seed}: {} for {before}", descriptors());
        });
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().filter(|entry| !is_lock(entry.as_ref().unwrap())).count(), 0);
    println!("{dropped} futures dropped, {before} descriptors before and after");
}

fn is_lock(entry: &fs::DirEntry) -> bool {
    entry.path().extension().is_some_and(|extension| extension == "lock")
}

async fn round(seed: u64, streams: &[String], sockets: &[String]) -> u64 {
    let mut dice = Dice::new(seed);
    let registry = default_registry();
    let mut dropped = 0;
    for endpoint in streams {
        let endpoint: Endpoint = endpoint.parse().unwrap();
        let count = links::Count::default();
        let (a, b) = links::pair(&registry, &endpoint, &count).await;
        dropped += talk::talk(a, b, &mut dice, 60).await;
        let (a, b) = links::pair(&registry, &endpoint, &count).await;
        dropped += halves::both(a, b, &mut dice, 40).await;
        dropped += wires::come_and_go(&registry, &endpoint, &mut dice, 30).await;
        assert_eq!(Arc::strong_count(&count), 1, "a wire is left");
    }
    for endpoint in sockets {
        dropped += datagrams::echo(&registry, &endpoint.parse().unwrap(), &mut dice, 40).await;
    }
    for endpoint in streams.iter().chain(sockets) {
        dropped += servers(&registry, endpoint, &mut dice).await;
    }
    for _ in 0..20 {
        yield_now().await;
    }
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "tasks are left");
    dropped
}

/// Servers that are dropped while they bind, serve and drain, and clients that are dropped while they connect to them.
async fn servers(registry: &Registry, endpoint: &str, dice: &mut Dice) -> u64 {
    let build = || {
        let builder = Server::builder().registry(registry.clone()).listen(endpoint);
        builder.handler(Echo).framing(Framing::Lines).bind()
    };
    let mut dropped = 0;
    for _ in 0..20 {
        let Some(server) = drop_after_eager(dice.index(4), build()).await else {
            dropped += 1;
            continue;
        };
        let server = server.unwrap();
        let local = server.local_endpoints()[0].clone();
        let (client_polls, mut dice_of_clients) = (dice.index(4), dice.fork());
        let clients = async {
            for _ in 0..dice_of_clients.index(10) {
                let config = SessionConfig::framed(Framing::Lines);
                let connected = drop_after(client_polls, connect_with(registry, &local, config)).await;
                let Some(Ok(mut session)) = connected else { continue };
                let _ = session.send("hello").await;
                let _ = session.flush().await;
                let _ = drop_after_eager(dice_of_clients.index(10), session.recv()).await;
            }
        };
        let serve = drop_after_eager(1 + dice.index(40), server.run_until(ready(())));
        let (served, ()) = tokio::join!(serve, timed(clients));
        dropped += u64::from(served.is_none());
        // The loops of a server that was dropped are tasks, which the runtime has to get to.
        for _ in 0..20 {
            yield_now().await;
        }
    }
    dropped
}

/// On datagrams nobody says that a server is gone.
async fn timed(clients: impl Future<Output = ()>) {
    let _ = timeout(Duration::from_millis(20), clients).await;
}
