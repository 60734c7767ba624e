//! Servers with workers over real sockets.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use crate::common::{Net, Places, ask, port, tell, text, until, within};
use swapwire::handlers::{Echo, UppercaseEcho};
use swapwire::{Endpoint, HandlerError, IntoService, Limits, Running, Session, SessionHandler, async_trait};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const WORKERS: usize = 4;

async fn start<K>(net: &Net, endpoint: &str, handler: impl IntoService<K>) -> (Running, Endpoint) {
    let server = net.server().workers(WORKERS).listen(endpoint).handler(handler).bind().await.unwrap().start();
    let local = server.local_endpoints()[0].clone();
    (server, local)
}

/// The wires with a group.
fn grouped(places: &Places) -> [String; 2] {
    ["tcp://127.0.0.1:0".to_owned(), places.unix()]
}

#[tokio::test]
async fn every_wire_can_be_served_by_workers() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in places.all() {
        let (server, local) = start(&net, &endpoint, UppercaseEcho).await;
        let mut sessions = Vec::new();
        for i in 0..20 {
            let mut session = net.connect(&local).await;
            assert_eq!(ask(&mut session, format!("hello {i}")).await, format!("HELLO {i}"), "{local}");
            sessions.push(session);
        }
        drop(sessions);
        let report = server.stop().await;
        assert_eq!((report.stats.messages, report.is_clean()), (20, true), "{local}: {report}");
        // Everything was closed: the place is free.
        drop(net.server().workers(WORKERS).listen(&local).handler(Echo).bind().await.unwrap());
    }
}

/// How many of 400 connections each worker serves, which are all held open; the fewest first.
async fn spread(net: &Net, endpoint: &str, at_once: bool) -> Vec<u64> {
    let (server, local) = start(net, endpoint, Echo).await;
    let mut sessions = Vec::new();
    if at_once {
        let mut connecting = JoinSet::new();
        for _ in 0..400 {
            let (registry, local) = (net.registry.clone(), local.clone());
            connecting.spawn(async move { registry.connect(&local).await.unwrap() });
        }
        sessions.extend(connecting.join_all().await);
    } else {
        for _ in 0..400 {
            sessions.push(net.registry.connect(&local).await.unwrap());
        }
    }
    until(&server, |stats| stats.sessions == 400).await;
    let mut counts: Vec<_> = server.worker_snapshots().iter().map(|worker| worker.sessions).collect();
    counts.sort_unstable();
    drop(sessions);
    assert!(server.stop().await.is_clean());
    counts
}

#[tokio::test]
async fn no_worker_is_left_without_work() {
    let (places, net) = (Places::new(), Net::new());
    for at_once in [false, true] {
        // By the kernel's hash: binomial, with a deviation of 9 around 100.
        let counts = spread(&net, "tcp://127.0.0.1:0", at_once).await;
        println!("tcp {counts:?}");
        assert!(counts.len() == WORKERS && counts[0] >= 100 / 8, "{counts:?}");
        // By passing on what is above the share.
        let counts = spread(&net, &places.unix(), at_once).await;
        println!("unix {counts:?}");
        assert!(counts.len() == WORKERS && counts[0] >= 100 / 4, "{counts:?}");
    }
}

#[tokio::test]
async fn a_server_with_workers_has_its_place_alone() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in grouped(&places) {
        let (server, local) = start(&net, &endpoint, Echo).await;
        for workers in [None, Some(1), Some(WORKERS)] {
            let mut second = net.server().listen(&local).handler(UppercaseEcho);
            if let Some(workers) = workers {
                second = second.workers(workers);
            }
            let error = second.bind().await.unwrap_err().to_string();
            assert!(error.contains("another server is listening there"), "{error}");
        }
        assert_eq!(ask(&mut net.connect(&local).await, "still here").await, "still here");
        assert!(server.stop().await.is_clean());
        // And where there is one without workers, there is no place for one with them.
        let (server, local) = net.start(&local.to_string(), Echo).await;
        let second = net.server().workers(WORKERS).listen(&local).handler(UppercaseEcho).bind().await;
        assert!(second.unwrap_err().to_string().contains("another server is listening there"));
        assert!(server.stop().await.is_clean());
    }
}

/// Connects, asks and waits for the answer as any program does, without this process's runtimes.
fn clients_by_hand(local: &Endpoint, count: usize) -> Vec<Box<dyn Stream>> {
    let connect = |i: usize| {
        let mut stream = connect_by_hand(local).unwrap();
        stream.write_all(format!("message {i}\n").as_bytes()).unwrap();
        stream
    };
    (0..count).map(connect).collect()
}

fn connect_by_hand(local: &Endpoint) -> std::io::Result<Box<dyn Stream>> {
    Ok(match local.scheme() {
        "tcp" => Box::new(std::net::TcpStream::connect(format!("127.0.0.1:{}", port(local)))?),
        _ => Box::new(std::os::unix::net::UnixStream::connect(port(local))?),
    })
}

trait Stream: std::io::Read + std::io::Write + Send {}
impl<S: std::io::Read + std::io::Write + Send> Stream for S {}

#[tokio::test]
async fn whoever_waits_in_a_queue_when_the_drain_begins_is_answered() {
    const CLIENTS: usize = 100;
    let (places, net) = (Places::new(), Net::new());
    for run in 0..10 {
        for endpoint in grouped(&places) {
            let server = net.server().workers(WORKERS).listen(endpoint.as_str()).handler(UppercaseEcho);
            let server = server.bind().await.unwrap();
            let local = server.local_endpoints()[0].clone();
            // Nothing is accepted yet: all of them wait in the system's queues.
            let clients = clients_by_hand(&local, CLIENTS);
            let answers = tokio::task::spawn_blocking(move || {
                let read = |mut client: Box<dyn Stream>| {
                    let mut all = String::new();
                    client.read_to_string(&mut all).map(|_| all)
                };
                clients.into_iter().map(read).collect::<Vec<_>>()
            });
            let report = within(&local, server.run_until(async {})).await;
            assert_eq!((report.stats.messages, report.is_clean()), (CLIENTS as u64, true), "{local}: {report}");
            for (i, answer) in within(&local, answers).await.unwrap().into_iter().enumerate() {
                assert_eq!(answer.unwrap(), format!("MESSAGE {i}\n"), "{local}, run {run}");
            }
        }
    }
}

#[tokio::test]
async fn a_drain_under_load_loses_and_cuts_no_reply() {
    const CLIENTS: usize = 64;
    let (places, net) = (Places::new(), Net::new());
    for endpoint in grouped(&places) {
        let (server, local) = start(&net, &endpoint, UppercaseEcho).await;
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let mut session = net.connect(&local).await;
            clients.spawn(async move {
                let mut answered = 0_u64;
                loop {
                    let message = format!("client {client} asks for {answered} {}", "x".repeat(client * 50));
                    // The server may have closed before it got this one; then it was not received, and nobody counts it.
                    if session.send(&message).await.is_err() {
                        return answered;
                    }
                    match session.recv().await {
                        Ok(Some(reply)) => assert_eq!(reply, message.to_ascii_uppercase()),
                        Ok(None) => return answered,
                        Err(error) => panic!("client {client} after {answered} answers: {error}"),
                    }
                    answered += 1;
                }
            });
        }
        until(&server, |stats| stats.messages > 5_000).await;
        let stop = tokio::spawn(server.stop());
        let answered: u64 = within(&local, clients.join_all()).await.into_iter().sum();
        let report = within(&local, stop).await.unwrap();
        assert!(report.is_clean(), "{local}: {report}");
        assert_eq!(report.stats.messages, answered, "{local}: {report}");
        assert_eq!(report.stats.sessions, CLIENTS as u64);
    }
}

/// A connection is made, and then it is answered; or it is refused.
#[tokio::test]
async fn who_comes_while_it_drains_is_answered_or_refused_and_never_reset() {
    let (places, net) = (Places::new(), Net::new());
    for run in 0..5 {
        for endpoint in grouped(&places) {
            let (server, local) = start(&net, &endpoint, UppercaseEcho).await;
            let clients: Vec<_> = (0..8)
                .map(|_| {
                    tokio::task::spawn_blocking({
                        let local = local.clone();
                        move || come_again(&local)
                    })
                })
                .collect();
            until(&server, |stats| stats.messages > 500).await;
            let report = within(&local, server.stop()).await;
            let mut answered = 0;
            for client in clients {
                answered += within(&local, client).await.unwrap();
            }
            assert_eq!((report.stats.messages, report.is_clean()), (answered, true), "{local}, run {run}: {report}");
        }
    }
}

/// Connects for every message, until that is refused; returns how many were answered.
fn come_again(local: &Endpoint) -> u64 {
    for answered in 0.. {
        let Ok(mut client) = connect_by_hand(local) else { return answered };
        client.write_all(b"message\n").unwrap();
        let mut reply = [0; 8];
        client.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"MESSAGE\n");
    }
    0
}

/// Counts who is served at once, and keeps everybody until the gate opens.
#[derive(Clone)]
struct Gauge {
    now: Arc<AtomicUsize>,
    exceeded: Arc<AtomicBool>,
    begun: Arc<Semaphore>,
    gate: Arc<Semaphore>,
}

const ROOM: usize = 10;

#[async_trait]
impl SessionHandler for Gauge {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        if self.now.fetch_add(1, SeqCst) >= ROOM {
            self.exceeded.store(true, SeqCst);
        }
        self.begun.add_permits(1);
        self.gate.acquire().await?.forget();
        session.send("served").await?;
        session.flush().await?;
        self.now.fetch_sub(1, SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn the_limit_on_connections_is_for_all_workers_together() {
    let (places, net) = (Places::new(), Net::new());
    for endpoint in grouped(&places) {
        let gauge = Gauge {
            now: Arc::default(),
            exceeded: Arc::default(),
            begun: Arc::new(Semaphore::new(0)),
            gate: Arc::new(Semaphore::new(0)),
        };
        let mut limits = Limits::default();
        limits.max_connections = ROOM;
        let server = net.server().workers(WORKERS).listen(endpoint.as_str()).handler(gauge.clone()).limits(limits);
        let server = server.bind().await.unwrap().start();
        let local = server.local_endpoints()[0].clone();
        let mut clients = Vec::new();
        for _ in 0..3 * ROOM {
            let mut session = net.connect(&local).await;
            tell(&mut session, "hello").await;
            clients.push(session);
        }
        let mut answers = JoinSet::new();
        for mut session in clients {
            answers.spawn(async move { text(&mut session).await });
        }
        for _ in 0..3 {
            within("a full house", gauge.begun.acquire_many(ROOM as u32)).await.unwrap().forget();
            assert_eq!(gauge.now.load(SeqCst), ROOM);
            gauge.gate.add_permits(ROOM);
        }
        let served = within(&local, answers.join_all()).await;
        assert!(served.len() == 3 * ROOM && served.iter().all(|answer| answer == "served"));
        assert!(!gauge.exceeded.load(SeqCst), "{local}");
        let report = server.stop().await;
        assert_eq!((report.stats.sessions, report.is_clean()), (3 * ROOM as u64, true), "{local}: {report}");
    }
}
