//! The faulty transport: rough wires keep the laws, and each fault does what it says.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use swapwire_core::{Bound, Endpoint, Listener, Registry, Session, SessionConfig};
use swapwire_mem::MemNetwork;
use swapwire_testkit::{FaultKind, FaultSwitch, Faults, Faulty, Suite, check, payload};
use tokio::time::{Instant, timeout};

type Log = Arc<Mutex<Vec<FaultKind>>>;

struct Net {
    /// With faults.
    far: Registry,
    near: Registry,
    switch: FaultSwitch,
    log: Log,
}

fn net(seed: u64, change: impl FnOnce(&mut Faults)) -> Net {
    let mut faults = Faults::default();
    change(&mut faults);
    let (network, log) = (MemNetwork::new(), Log::default());
    let faulty = Faulty::new(network.clone(), faults, seed).watched({
        let log = Arc::clone(&log);
        move |event| log.lock().unwrap().push(event.kind)
    });
    let switch = faulty.switch();
    Net { far: Registry::new().with(faulty), near: Registry::new().with(network), switch, log }
}

impl Net {
    async fn listener(&self, endpoint: &str) -> Box<dyn Listener> {
        let endpoint: Endpoint = endpoint.parse().unwrap();
        match self.far.bind(&endpoint).await.unwrap() {
            Bound::Listener(listener) => listener,
            other => panic!("{other:?}"),
        }
    }

    /// A client without faults and a server with them.
    async fn pair(&self, endpoint: &str) -> (Session, Session) {
        let mut listener = self.listener(endpoint).await;
        let client = self.near.connect(&listener.local()).await.unwrap();
        let server = listener.accept().await.unwrap().establish().await.unwrap();
        let session = |link| Session::new(link, SessionConfig::default());
        (session(client), session(server))
    }

    /// How often this happened.
    fn told(&self, kind: FaultKind) -> usize {
        self.log.lock().unwrap().iter().filter(|told| **told == kind).count()
    }
}

async fn keeps_the_laws(scheme: &'static str) {
    let names = AtomicUsize::new(0);
    let fresh = move || format!("{scheme}:rough-{}", names.fetch_add(1, Relaxed)).parse().unwrap();
    let mut faults = Faults::rough();
    // In pieces of 7 bytes, a mebibyte takes a minute; and the clock runs.
    (faults.slice, faults.stall) = (2000, 0.02);
    faults.latency.end /= 4;
    Suite::new(Registry::new().with(Faulty::new(MemNetwork::new(), faults, 7)), fresh).run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rough_byte_stream_keeps_the_laws() {
    keeps_the_laws("mem").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rough_message_stream_keeps_the_laws() {
    keeps_the_laws("mem-seq").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rough_datagrams_keep_the_laws() {
    keeps_the_laws("mem-dgram").await;
}

#[tokio::test(start_paused = true)]
async fn bytes_are_late_and_in_pieces_and_all_there() {
    for seed in 0..20 {
        let net = net(seed, |faults| {
            *faults = Faults::rough();
            faults.latency = Duration::from_secs(1)..Duration::from_secs(2);
        });
        let (mut client, mut server) = net.pair("mem:a").await;
        let begun = Instant::now();
        let sent = payload(seed, 1000);
        client.send(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        while let Some(piece) = server.recv().await.unwrap() {
            assert!(piece.len() <= 7);
            got.extend_from_slice(&piece);
        }
        assert_eq!((check(seed, &got), got.len()), (Ok(()), 1000));
        assert!((1..4).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_both_ends_and_wakes_who_waits() {
    for endpoint in ["mem:a", "mem-seq:a"] {
        let net = net(1, |faults| faults.reset = 1.0);
        net.switch.calm();
        let (mut client, server) = net.pair(endpoint).await;
        drop(net);

        let net = self::net(1, |faults| faults.reset = 0.2);
        let mut resets = 0;
        for _ in 0..20 {
            let mut listener = net.listener(endpoint).await;
            let mut client = Session::new(net.near.connect(&listener.local()).await.unwrap(), SessionConfig::default());
            let Ok(link) = listener.accept().await.unwrap().establish().await else {
                resets += 1;
                continue;
            };
            let (mut reader, mut writer) = Session::new(link, SessionConfig::default()).split();
            let echo = async {
                while let Ok(Some(message)) = reader.recv().await {
                    if writer.send(&message).await.is_err() || writer.flush().await.is_err() {
                        break;
                    }
                }
                drop((reader, writer));
            };
            let ask = async { while client.send("x").await.is_ok() && matches!(client.recv().await, Ok(Some(_))) {} };
            tokio::join!(echo, ask);
            resets += 1;
        }
        assert_eq!((resets, net.told(FaultKind::Reset)), (20, 20));
        // Without faults it goes on for ever.
        drop(server);
        assert!(matches!(client.recv().await, Ok(None)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_end_is_an_end() {
    for endpoint in ["mem:a", "mem-seq:a"] {
        let net = net(1, |faults| faults.early_end = 1.0);
        let (mut client, mut server) = net.pair(endpoint).await;
        client.send("x").await.unwrap();
        client.flush().await.unwrap();
        assert_eq!(server.recv().await.unwrap(), None);
        assert_eq!(server.recv().await.unwrap(), None);
        server.send("y").await.unwrap();
        server.flush().await.unwrap();
        assert_eq!(client.recv().await.unwrap().unwrap(), "y");
        assert_eq!(net.told(FaultKind::EndedEarly), 1);
    }
}

/// What of `count` datagrams to an echo arrives there and comes back, when the server or the client has the faults.
async fn echoed(count: usize, far_client: bool, change: impl FnOnce(&mut Faults)) -> (Vec<String>, Net) {
    let net = net(5, change);
    let endpoint: Endpoint = "mem-dgram:a".parse().unwrap();
    let (server, client) = if far_client { (&net.near, &net.far) } else { (&net.far, &net.near) };
    let Bound::Socket(mut socket) = server.bind(&endpoint).await.unwrap() else { panic!("no socket") };
    let echo = tokio::spawn(async move {
        let mut batch = swapwire_core::RecvBatch::new(8, socket.slot_size());
        loop {
            batch.clear();
            std::future::poll_fn(|cx| socket.poll_recv(cx, &mut batch)).await.unwrap();
            let mut out = swapwire_core::SendBatch::new();
            batch.iter().for_each(|(meta, message)| out.push(message, meta.peer.unwrap(), None));
            let mut sent = 0;
            while sent < out.len() {
                sent += std::future::poll_fn(|cx| socket.poll_send(cx, &out, sent)).await.unwrap();
            }
        }
    });
    let mut client = Session::new(client.connect(&endpoint).await.unwrap(), SessionConfig::default());
    for i in 0..count {
        client.send(format!("{i:03}")).await.unwrap();
        client.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut got = Vec::new();
    while let Ok(message) = timeout(Duration::from_secs(10), client.recv()).await {
        got.push(String::from_utf8(message.unwrap().unwrap().to_vec()).unwrap());
    }
    echo.abort();
    (got, net)
}

#[tokio::test(start_paused = true)]
async fn datagrams_are_lost_doubled_and_overtaken_and_it_is_told() {
    for far_client in [false, true] {
        let (got, net) = echoed(100, far_client, |_| {}).await;
        assert!(got.is_sorted() && got.len() == 100);
        assert_eq!(net.told(FaultKind::Received(3)), 100);

        let (mut got, net) = echoed(100, far_client, |faults| faults.loss = 0.3).await;
        let lost = net.told(FaultKind::LostIn) + net.told(FaultKind::LostOut);
        assert!((20..80).contains(&lost), "{lost}");
        assert_eq!(got.len() + lost, 100);
        got.dedup();
        assert_eq!(got.len() + lost, 100);

        let (mut got, net) = echoed(100, far_client, |faults| faults.duplication = 0.3).await;
        assert_eq!(net.told(FaultKind::LostIn), 0);
        assert!(got.len() > 130 && net.told(FaultKind::DoubledIn) > 10);
        got.sort_unstable();
        got.dedup();
        assert_eq!(got.len(), 100);

        let late = Duration::ZERO..Duration::from_millis(20);
        let (got, _) = echoed(100, far_client, |faults| faults.latency = late.clone()).await;
        assert!(got.is_sorted() && got.len() == 100);
        let (mut got, _) = echoed(100, far_client, |faults| {
            (faults.latency, faults.reordering) = (late, true);
        })
        .await;
        assert!(!got.is_sorted());
        got.sort_unstable();
        got.dedup();
        assert_eq!(got.len(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn an_accept_that_fails_loses_nobody() {
    let net = net(3, |faults| faults.accept_failure = 0.5);
    let mut listener = net.listener("mem:a").await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(net.near.connect(&listener.local()).await.unwrap());
    }
    let (mut taken, mut failed) = (0, 0);
    while taken < clients.len() {
        match listener.accept().await {
            Ok(incoming) => {
                incoming.establish().await.unwrap();
                taken += 1;
            }
            Err(_) => failed += 1,
        }
    }
    assert!(failed > 5);
    assert_eq!(net.told(FaultKind::AcceptFailed), failed);
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_do_the_same() {
    let mut logs = Vec::new();
    for seed in [1, 1, 2] {
        let net = net(seed, |faults| {
            *faults = Faults::rough();
            faults.reset = 0.01;
        });
        let (mut client, mut server) = net.pair("mem:a").await;
        for _ in 0..20 {
            if client.send("hello").await.is_err() || client.flush().await.is_err() || server.recv().await.is_err() {
                break;
            }
        }
        logs.push(net.log.lock().unwrap().clone());
    }
    assert_eq!(logs[0], logs[1]);
    assert_ne!(logs[0], logs[2]);
    assert!(logs[0].len() > 20);
}
