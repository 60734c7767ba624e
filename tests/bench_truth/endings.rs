//! Servers that are not there, say nothing, or die: each ends the run with a reason, and none of them hangs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use swapwire_bench::{Conditions, Goal, Load, PlanError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket, UnixListener};
use tokio::sync::watch;

use crate::bench::{assert_flawless, echoes, load, plan, round, run, target};
use crate::common::{Places, within};
use crate::servers::{self, SIZE, Wire};

/// The only line of a run that fails.
async fn failure(endpoint: &str, load: Load, conditions: Conditions) -> String {
    match run(plan(endpoint, load, conditions)).await {
        Err(PlanError::Failed(lines)) if lines.len() == 1 => lines.into_iter().next().unwrap(),
        other => panic!("{endpoint}: {other:?}"),
    }
}

/// Soon enough for a test, and long enough for a busy machine.
fn impatient() -> Conditions {
    Conditions { timeout: Some(Duration::from_secs(2)), goal: Goal::Time(Duration::from_secs(3)), ..echoes(1) }
}

/// Waits until a socket is closed for good: another test may start a process, which has all our descriptors until it is the
/// program.
async fn closed(is: impl Fn() -> bool) {
    let closed = async {
        while !is() {
            tokio::task::yield_now().await;
        }
    };
    within("a socket that is closed", closed).await;
}

#[tokio::test]
async fn nobody_is_there() {
    let places = Places::new();
    // A free port of an address that nobody else uses.
    let host = places.quiet_host();
    let port = TcpListener::bind((host.as_str(), 0)).await.unwrap().local_addr().unwrap().port();
    let port_udp = UdpSocket::bind((host.as_str(), 0)).await.unwrap().local_addr().unwrap().port();
    let (unix, unix_dgram) = (places.unix(), places.unix_dgram());
    closed(|| std::net::TcpStream::connect((host.as_str(), port)).is_err()).await;
    closed(|| std::net::UdpSocket::bind((host.as_str(), port_udp)).is_ok()).await;
    for (endpoint, cause) in [
        (format!("tcp://{host}:{port}"), "connection refused"),
        (format!("udp://{host}:{port_udp}"), "connection refused"),
        (unix, "no such file"),
        (unix_dgram, "no such file"),
    ] {
        for rate in [None, Some(1000.0)] {
            let load = Load { connections: 2, rate, pipeline: 512, ..load("64") };
            let line = failure(&endpoint, load, impatient()).await;
            assert!(line.contains(&endpoint) && line.contains(cause), "{endpoint}: {line}");
        }
    }
}

#[tokio::test]
async fn a_socket_whose_server_is_gone() {
    // The file is still there, as after a crash.
    let places = Places::new();
    let endpoint = places.unix();
    let path = endpoint.strip_prefix("unix:").unwrap();
    drop(UnixListener::bind(path).unwrap());
    closed(|| std::os::unix::net::UnixStream::connect(path).is_err()).await;
    let line = failure(&endpoint, load("64"), impatient()).await;
    assert!(line.contains(&endpoint) && line.contains("connection refused"), "{line}");
}

#[tokio::test]
async fn a_server_that_says_nothing() {
    let places = Places::new();
    let silence = |wire: Box<dyn Wire>| async move {
        let _open = wire;
        std::future::pending().await
    };
    for (endpoint, cause) in [
        (servers::tcp(silence).await, "no reply within 2s"),
        (servers::unix(&places, silence), "no reply within 2s"),
        (servers::udp(|_| Vec::new()).await, "no reply to "),
    ] {
        for rate in [None, Some(1000.0)] {
            let load = Load { connections: 2, rate, pipeline: 512, ..load("64") };
            let line = failure(&endpoint, load, impatient()).await;
            assert!(line.contains(&endpoint) && line.contains(cause), "{rate:?}: {line}");
        }
    }
}

#[tokio::test]
async fn a_server_that_falls_silent() {
    let places = Places::new();
    // Each connection has ten replies.
    let serve = |mut wire: Box<dyn Wire>| async move {
        let mut message = [0; SIZE];
        for _ in 0..10 {
            if wire.read_exact(&mut message).await.is_err() || wire.write_all(&message).await.is_err() {
                return;
            }
        }
        std::future::pending().await
    };
    let mut replies = 0;
    let datagrams = move |request: &mut [u8]| {
        replies += 1;
        if replies > 10 { Vec::new() } else { vec![request.to_vec()] }
    };
    // 60 requests, of which as many may be under way.
    let load = Load { rate: Some(20.0), pipeline: 60, ..load("64") };
    for endpoint in [servers::tcp(serve).await, servers::unix(&places, serve)] {
        let round = round(plan(&endpoint, load.clone(), impatient())).await;
        assert!(round.requests == 60 && round.answered < 60 && round.reconnects > 0, "{round:?}");
        assert!(round.faults.errors.contains_key("no reply within 2s"), "{:?}", round.faults);
    }
    let round = round(plan(servers::udp(datagrams).await, load, impatient())).await;
    let faults = &round.faults;
    assert_eq!((round.requests, round.answered + faults.late, faults.lost - faults.late), (60, 10, 50), "{round:?}");
}

#[tokio::test]
async fn a_server_that_closes_at_once() {
    let endpoint = servers::tcp(|wire| async move { drop(wire) }).await;
    for rate in [None, Some(1000.0)] {
        let line = failure(&endpoint, Load { rate, ..load("64") }, echoes(20)).await;
        assert!(line.contains(&endpoint) && line.ends_with("times in a row"), "{line}");
        assert!(["recv: ", "send: "].iter().any(|what| line.contains(what)), "{line}");
    }
}

/// An echo server that serves `connections` of them, and dies with the first message of the next one: all its sockets are
/// closed, whatever they were doing.
async fn dies_after(places: &Places, connections: u64) -> String {
    let listener = TcpListener::bind((places.quiet_host(), 0)).await.unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let (death, mut dead) = watch::channel(false);
    let (death, count) = (Arc::new(death), AtomicU64::new(0));
    let serve = async move {
        while let Ok((wire, _)) = listener.accept().await {
            let (last, death) = (count.fetch_add(1, Relaxed) >= connections, Arc::clone(&death));
            tokio::spawn(async move {
                let mut dead = death.subscribe();
                let echo = async {
                    if last {
                        wire.readable().await.unwrap();
                        death.send_replace(true);
                    }
                    servers::echo(Box::new(wire)).await;
                };
                tokio::select! {
                    biased;
                    _ = dead.wait_for(|dead| *dead) => {}
                    () = echo => {}
                }
            });
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            _ = dead.wait_for(|dead| *dead) => {}
            () = serve => {}
        }
    });
    endpoint
}

#[tokio::test]
async fn a_server_that_dies_leaves_what_was_measured_and_the_others() {
    let places = Places::new();
    // It has two connections in each round, and dies in the second one.
    let (mortal, other) = (dies_after(&places, 3).await, servers::tcp(servers::echo).await);
    let mut plan = plan(&mortal, Load { connections: 2, ..load("64") }, echoes(300));
    plan.targets = vec![target("mortal", &mortal), target("other", &other)];
    plan.rounds = 3;
    let run = run(plan).await.unwrap();
    assert_eq!((run.cells[0].rounds.len(), run.cells[1].rounds.len()), (1, 3), "{:?}", run.partial);
    for round in run.cells.iter().flat_map(|cell| &cell.rounds) {
        assert_flawless(round, 300, "a round that went well");
    }
    let [line] = run.partial.as_slice() else { panic!("{:?}", run.partial) };
    let begins = "mortal, 64 B, 2 connections: given up in round 2 of 3: ";
    assert!(line.starts_with(begins) && line.contains(&mortal) && line.contains("connection refused"), "{line}");
    assert!(run.cells.iter().all(|cell| cell.summary.is_some()));
}
