//! Servers that are slow in ways they write down. A latency holds all that its server took, so each percentile is at least
//! the server's own: exactly, however busy the machine is. What the way there and back adds is bounded generously.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use swapwire_bench::{Load, Round, Run, Spectrum};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::bench::{assert_flawless, echoes, in_one_try_of_many, is_so, latencies, load, plan, round, run};
use crate::bottleneck::blamed;
use crate::common::Places;
use crate::servers::{self, SIZE, Wire};

/// What a server took for each message, from having read it to the moment before it is written back.
type Log = Arc<Mutex<Spectrum>>;

/// Echoes each message so long after it came; those behind it do not wait.
async fn delayed(wire: Box<dyn Wire>, delay: Duration, log: Log) {
    let (mut from, mut to) = tokio::io::split(wire);
    let (line, mut due) = mpsc::channel::<(Instant, [u8; SIZE])>(1024);
    tokio::spawn(async move {
        while let Some((came, message)) = due.recv().await {
            sleep_until(came + delay).await;
            log.lock().unwrap().record(came.elapsed());
            if to.write_all(&message).await.is_err() {
                return;
            }
        }
    });
    let mut message = [0; SIZE];
    while from.read_exact(&mut message).await.is_ok() && line.send((Instant::now(), message)).await.is_ok() {}
}

/// The same for datagrams, of which each has its own delay.
async fn delayed_udp(delay: fn(u64) -> Duration, log: Log) -> String {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let endpoint = format!("udp://{}", socket.local_addr().unwrap());
    tokio::spawn(async move {
        let mut message = [0; SIZE];
        for number in 0.. {
            let Ok((_, peer)) = socket.recv_from(&mut message).await else { return };
            let (came, socket, log) = (Instant::now(), Arc::clone(&socket), Arc::clone(&log));
            tokio::spawn(async move {
                sleep_until(came + delay(number)).await;
                log.lock().unwrap().record(came.elapsed());
                socket.send_to(&message, peer).await.unwrap();
            });
        }
    });
    endpoint
}

/// Every percentile holds what the server took.
fn assert_holds(round: &Round, log: &Log, what: &str) -> Spectrum {
    let (measured, truth) = (latencies(round), log.lock().unwrap().clone());
    assert_eq!(measured.count(), truth.count(), "{what}");
    for percent in [1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
        let (measured, truth) = (measured.percentile(percent), truth.percentile(percent));
        assert!(measured >= truth, "{what}: p{percent} is {measured} ns, the server took {truth}");
    }
    measured
}

const DELAY: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_delay_is_measured_as_the_server_made_it() {
    let places = Places::new();
    for wire in ["tcp", "udp", "unix"] {
        in_one_try_of_many(async || {
            let log = Log::default();
            let server_log = Arc::clone(&log);
            let serve = move |wire| delayed(wire, DELAY, Arc::clone(&server_log));
            let endpoint = match wire {
                "tcp" => servers::tcp(serve).await,
                "udp" => delayed_udp(|_| DELAY, Arc::clone(&log)).await,
                _ => servers::unix(&places, serve),
            };
            let load = Load { connections: 4, pipeline: 64, rate: Some(200.0), ..load("64") };
            let run = run(plan(endpoint, load, echoes(200))).await.unwrap();
            let round = &run.cells[0].rounds[0];
            assert_flawless(round, 200, wire);
            let measured = assert_holds(round, &log, wire);
            assert!(measured.min() >= 200_000_000, "{wire}: {measured:?}");
            // The client is not blamed, unless it was late by a tenth of that.
            let (blamed, late) = blamed(&run);
            assert!(late || !blamed, "{wire}: {:?}", run.warnings);
            let (p50, truth) = (measured.percentile(50.0), log.lock().unwrap().percentile(50.0));
            is_so(p50 < truth + truth / 2, format_args!("{wire}: {p50} ns, truly {truth}"))
        })
        .await;
    }
}

#[tokio::test]
async fn the_slow_ones_of_many_are_found_where_they_belong() {
    in_one_try_of_many(async || {
        let log = Log::default();
        let sometimes = |number| Duration::from_millis(if number % 50 == 20 { 300 } else { 0 });
        let endpoint = delayed_udp(sometimes, Arc::clone(&log)).await;
        let load = Load { connections: 2, pipeline: 100, rate: Some(500.0), ..load("64") };
        let round = round(plan(endpoint, load, echoes(1000))).await;
        assert_eq!((round.answered, round.faults.lost), (1000, 0), "{round:?}");
        let measured = assert_holds(&round, &log, "udp");
        // 20 of 1000: the 11th largest is one of them, and the middle is not.
        assert!(measured.percentile(99.0) >= 300_000_000, "{measured:?}");
        // Those behind a slow one on its connection overtake it.
        assert!(round.faults.reordered.is_some_and(|count| count > 0), "{:?}", round.faults);
        is_so(measured.percentile(50.0) < 100_000_000, format_args!("{measured:?}"))
    })
    .await;
}

/// Echoes on one connection, by a thread that stands still once, at a message. It gives how long it stood.
fn stalling(at: u32, time: Duration) -> (String, JoinHandle<Duration>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut wire, _) = listener.accept().unwrap();
        wire.set_nodelay(true).unwrap();
        let (mut message, mut stood) = ([0; SIZE], Duration::ZERO);
        for number in 0.. {
            if wire.read_exact(&mut message).is_err() {
                break;
            }
            if number == at {
                let began = Instant::now();
                // Not to wait for something: this is the fault.
                thread::sleep(time);
                stood = began.elapsed();
            }
            wire.write_all(&message).unwrap();
        }
        stood
    });
    (endpoint, server)
}

const REQUESTS: u64 = 1000;

/// A thousand requests to a server that stands still for 300 ms at the 300th. Gives for how long it really did.
async fn stalled(rate: Option<f64>) -> (Run, Duration) {
    let (endpoint, server) = stalling(300, Duration::from_millis(300));
    let pipeline = if rate.is_some() { 1024 } else { 1 };
    let run = run(plan(endpoint, Load { rate, pipeline, ..load("64") }, echoes(REQUESTS))).await.unwrap();
    assert_flawless(&run.cells[0].rounds[0], REQUESTS, &format!("{rate:?}"));
    (run, server.join().unwrap())
}

#[tokio::test]
async fn an_open_loop_shows_all_the_waiting_that_a_stall_caused() {
    const RATE: f64 = 500.0;
    in_one_try_of_many(async || {
        let (run, stood) = stalled(Some(RATE)).await;
        let measured = latencies(&run.cells[0].rounds[0]);
        // The request at which it stood still waited for all of it, the next one for what was left when that was due, and so
        // on.
        for percent in [90.0, 95.0, 99.0, 99.9, 100.0] {
            let later = (1.0 - percent / 100.0) * REQUESTS as f64 / RATE;
            let (measured, truth) = (measured.percentile(percent) as f64 / 1e9, stood.as_secs_f64() - later);
            assert!(measured >= truth, "p{percent} is {measured} s, truly {truth} or more");
        }
        // It was the server; or else the run says that it was not.
        let (blamed, late) = blamed(&run);
        assert!(blamed || !late, "{:?}", run.warnings);
        is_so(measured.percentile(50.0) < 100_000_000, format_args!("{measured:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_closed_loop_hides_a_stall() {
    in_one_try_of_many(async || {
        let (run, stood) = stalled(None).await;
        let measured = latencies(&run.cells[0].rounds[0]);
        assert!(u128::from(measured.max()) >= stood.as_nanos(), "{measured:?}");
        let hidden = [50.0, 90.0].iter().all(|percent| measured.percentile(*percent) < 100_000_000);
        is_so(hidden, format_args!("{measured:?}"))
    })
    .await;
}
