//! Servers with known faults, in memory and on a paused clock: what is reported must be what was done.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use swapwire_core::{Bound, Link, RecvBatch, Registry, SendBatch};
use swapwire_mem::MemNetwork;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use super::*;
use crate::load::request::payload::Payload;
use crate::{Expect, Monitor, Round, Sizes};

const SIZE: usize = 64;

fn job(endpoint: &str, registry: &Registry) -> Job {
    Job {
        registry: registry.clone(),
        endpoints: vec![endpoint.parse().unwrap()],
        payload: Payload::new(Expect::Echo, SIZE, 1),
        sizes: Sizes::Fixed(SIZE),
        framing: swapwire_core::Framing::Chunks,
        connections: 16,
        pipeline: 1024,
        rate: None,
        requests: None,
        warmup: true,
        ramp: Duration::ZERO,
        timeout: Duration::from_secs(5),
        reconnect_every: None,
        identified: endpoint.starts_with("mem-dgram"),
        threads: 1,
        spin: false,
        fine_timer: false,
        seed: 1,
        monitor: Monitor::new(),
        step: Duration::from_millis(10),
        max_message: endpoint.starts_with("mem-dgram").then_some(SIZE),
    }
}

/// One thread's round of `seconds`, after a warm-up of 100 ms, if there is one.
async fn run(job: Job, seconds: u64) -> Result<Round, Option<String>> {
    let (phase, receiver) = tokio::sync::watch::channel(Phase::Opening);
    let warmup = Duration::from_millis(if job.warmup { 100 } else { 0 });
    let goal = job.requests.is_none().then(|| Duration::from_secs(seconds));
    let opened = || {
        let epoch = Instant::now() + Duration::from_millis(1);
        let begin = epoch + warmup;
        phase.send_replace(Phase::Running(Window { epoch, begin, end: goal.map(|goal| begin + goal) }));
    };
    let finding = work(Arc::new(job), 0, receiver, opened).await?;
    let mut round = Round { timeline_step_s: finding.tally.step().as_secs_f64(), ..Round::default() };
    finding.tally.add_to(&mut round);
    let faults = &round.faults;
    let accounted = round.answered + faults.wrong + faults.lost + faults.broken + faults.unsent;
    assert_eq!(accounted, round.requests, "every request has one end: {round:?}");
    Ok(round)
}

/// An echo over byte streams that waits before each reply; it is told how many requests came before. Gives how many came.
async fn echo(registry: &Registry, wait: impl Fn(u64) -> Duration + Clone + Send + Sync + 'static) -> Arc<AtomicU64> {
    let Bound::Listener(mut listener) = registry.bind(&"mem:echo".parse().unwrap()).await.unwrap() else { panic!() };
    let counted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&counted);
    tokio::spawn(async move {
        while let Ok(incoming) = listener.accept().await {
            let (wait, count) = (wait.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let Ok(Link::Bytes { mut io, .. }) = incoming.establish().await else { panic!() };
                let mut message = [0; SIZE];
                while io.read_exact(&mut message).await.is_ok() {
                    sleep(wait(count.fetch_add(1, Relaxed))).await;
                    io.write_all(&message).await.unwrap();
                }
            });
        }
    });
    counted
}

fn near(measured: u64, truth: Duration, what: &str) {
    let (measured, truth) = (measured as f64, truth.as_nanos() as f64);
    assert!((measured / truth - 1.0).abs() < 0.05, "{what}: {} ms, truly {} ms", measured / 1e6, truth / 1e6);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_delay_is_measured_as_it_is() {
    let registry = Registry::new().with(MemNetwork::new());
    echo(&registry, |_| Duration::from_millis(2)).await;
    let round = run(Job { rate: Some(1000.0), ..job("mem:echo", &registry) }, 5).await.unwrap();
    assert_eq!(round.requests, 5000);
    for percent in [1.0, 50.0, 99.0, 99.9, 100.0] {
        near(round.latency.percentile(percent), Duration::from_millis(2), &format!("p{percent}"));
    }
    assert!(round.latency.count() + round.first_reply.count() == 5000);
    assert!(round.lag.percentile(99.0) <= 1_000_000, "{:?}", round.lag);
}

#[tokio::test(start_paused = true)]
async fn one_slow_reply_in_a_hundred_is_found_where_it_belongs() {
    let registry = Registry::new().with(MemNetwork::new());
    echo(&registry, |n| Duration::from_millis(if n % 100 == 99 { 50 } else { 2 })).await;
    let round = run(Job { rate: Some(200.0), ..job("mem:echo", &registry) }, 50).await.unwrap();
    near(round.latency.percentile(50.0), Duration::from_millis(2), "p50");
    near(round.latency.percentile(98.9), Duration::from_millis(2), "p98.9");
    near(round.latency.percentile(99.1), Duration::from_millis(50), "p99.1");
    near(round.latency.percentile(99.9), Duration::from_millis(50), "p99.9");
}

#[tokio::test(start_paused = true)]
async fn a_stall_shows_all_the_waiting_that_it_caused() {
    let registry = Registry::new().with(MemNetwork::new());
    let began = Instant::now();
    // From second 2 to second 3 nothing is answered.
    echo(&registry, move |_| {
        let at = began.elapsed().as_secs_f64();
        Duration::from_secs_f64(if (2.0..3.0).contains(&at) { 3.0 - at } else { 0.0 })
    })
    .await;
    let open = run(Job { rate: Some(1000.0), ..job("mem:echo", &registry) }, 5).await.unwrap();
    assert_eq!(open.requests, 5000);
    // A fifth of the requests were due within the stall, and waited for what was left of it.
    near(open.latency.percentile(90.0), Duration::from_millis(500), "p90");
    near(open.latency.percentile(98.0), Duration::from_millis(900), "p98");
    near(open.latency.max(), Duration::from_secs(1), "max");
    assert!(open.latency.percentile(75.0) < 3_000_000, "{:?}", open.latency);
    // The generator was in time all the while.
    assert!(open.lag.percentile(100.0) <= 2_000_000, "{:?}", open.lag);
}

#[tokio::test(start_paused = true)]
async fn a_closed_loop_keeps_its_requests_under_way_and_no_more() {
    let registry = Registry::new().with(MemNetwork::new());
    echo(&registry, |_| Duration::from_millis(10)).await;
    let job = Job { connections: 8, pipeline: 1, ..job("mem:echo", &registry) };
    let round = run(job, 2).await.unwrap();
    // Eight connections, a reply each 10 ms.
    assert!((1590..=1610).contains(&round.messages), "{}", round.messages);
    near(round.latency.percentile(50.0), Duration::from_millis(10), "p50");
    assert_eq!(round.timeline.iter().sum::<u64>(), round.messages);
    assert_eq!(round.connect.count(), 8);
}

#[tokio::test(start_paused = true)]
async fn so_many_requests_are_sent_as_were_asked_for() {
    let registry = Registry::new().with(MemNetwork::new());
    echo(&registry, |_| Duration::from_millis(1)).await;
    for rate in [None, Some(500.0)] {
        let job = Job { rate, requests: Some(777), reconnect_every: Some(10), ..job("mem:echo", &registry) };
        let round = run(job, 0).await.unwrap();
        assert_eq!((round.requests, round.answered), (777, 777), "{rate:?}");
        assert!(round.reconnects > 50, "{}", round.reconnects);
        let firsts = round.first_reply.count();
        assert!((60..=100).contains(&firsts), "about every tenth is a first one: {firsts}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_warm_up_a_server_gets_what_was_asked_for_and_nothing_else() {
    let registry = Registry::new().with(MemNetwork::new());
    let streams = echo(&registry, |_| Duration::from_millis(1)).await;
    let packets = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&packets);
    datagrams(&registry, move |_| {
        count.fetch_add(1, Relaxed);
        Fate::Answer
    })
    .await;
    for (endpoint, came) in [("mem:echo", &streams), ("mem-dgram:echo", &packets)] {
        for (requests, connections, pipeline) in [(10, 3, 1), (201, 200, 1), (1, 20, 1), (7, 64, 4), (50, 50, 2)] {
            for (rate, reconnect_every) in [(None, None), (Some(2000.0), None), (None, Some(2))] {
                let asked = Job {
                    requests: Some(requests),
                    connections,
                    pipeline,
                    rate,
                    reconnect_every,
                    ..job(endpoint, &registry)
                };
                let before = came.load(Relaxed);
                let round = run(Job { warmup: false, ..asked }, 0).await.unwrap();
                assert_eq!(
                    came.load(Relaxed) - before,
                    requests,
                    "{endpoint} {connections} {rate:?} {reconnect_every:?}"
                );
                assert_eq!((round.requests, round.answered, round.warmup_requests), (requests, requests, 0));
            }
        }
    }
    // With one, the others are told apart.
    let before = streams.load(Relaxed);
    let round = run(Job { requests: Some(10), connections: 3, ..job("mem:echo", &registry) }, 0).await.unwrap();
    assert!(round.warmup_requests > 10, "{}", round.warmup_requests);
    assert_eq!((round.requests, streams.load(Relaxed) - before), (10, 10 + round.warmup_requests));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_is_an_error_and_not_a_hang() {
    let registry = Registry::new().with(MemNetwork::new());
    let error = run(job("mem:nobody", &registry), 1).await.unwrap_err().unwrap();
    assert!(error.starts_with("connect mem:nobody: "), "{error}");

    let Bound::Listener(mut listener) = registry.bind(&"mem:dies".parse().unwrap()).await.unwrap() else { panic!() };
    tokio::spawn(async move {
        let mut kept = Vec::new();
        for _ in 0..16 {
            kept.push(listener.accept().await.unwrap().establish().await.unwrap());
        }
        sleep(Duration::from_millis(300)).await;
    });
    let error = run(job("mem:dies", &registry), 1).await.unwrap_err().unwrap();
    assert!(error.starts_with("connect mem:dies: ") && error.ends_with("times in a row"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_loses_every_request() {
    let registry = Registry::new().with(MemNetwork::new());
    echo(&registry, |_| Duration::from_secs(3600)).await;
    let job = Job { timeout: Duration::from_millis(700), rate: Some(100.0), ..job("mem:echo", &registry) };
    let round = run(job, 2).await.unwrap();
    assert_eq!((round.requests, round.answered, round.messages), (200, 0, 0));
    assert!(round.faults.errors.contains_key("no reply within 700ms"), "{:?}", round.faults);
}

/// What a datagram server does with request `n`.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Answer,
    Drop,
    Twice,
    Late,
    Garble,
}

async fn datagrams(registry: &Registry, fate: impl Fn(u64) -> Fate + Send + 'static) {
    let Bound::Socket(mut socket) = registry.bind(&"mem-dgram:echo".parse().unwrap()).await.unwrap() else { panic!() };
    tokio::spawn(async move {
        let (mut batch, mut n) = (RecvBatch::new(16, SIZE), 0);
        let mut held: Vec<(Instant, swapwire_core::Addr, Vec<u8>)> = Vec::new();
        loop {
            batch.clear();
            let due = held.iter().map(|(at, ..)| *at).min();
            let received = tokio::select! {
                received = std::future::poll_fn(|cx| socket.poll_recv(cx, &mut batch)) => received.is_ok(),
                () = tokio::time::sleep_until(due.unwrap_or(Instant::now())), if due.is_some() => true,
            };
            assert!(received);
            let mut out = SendBatch::new();
            for (meta, message) in batch.iter() {
                let (peer, mut message) = (meta.peer.unwrap(), message.to_vec());
                let fate = fate(n);
                n += 1;
                match fate {
                    Fate::Drop => continue,
                    Fate::Late => held.push((Instant::now() + Duration::from_millis(1500), peer, message)),
                    _ => {
                        if fate == Fate::Garble {
                            message[SIZE - 1] ^= 1;
                        }
                        out.push(&message, peer, None);
                        if fate == Fate::Twice {
                            out.push(&message, peer, None);
                        }
                    }
                }
            }
            for (_, peer, message) in held.extract_if(.., |(at, ..)| *at <= Instant::now()) {
                out.push(&message, peer, None);
            }
            let mut from = 0;
            while from < out.len() {
                from += std::future::poll_fn(|cx| socket.poll_send(cx, &out, from)).await.unwrap();
            }
        }
    });
}

fn datagram_job(registry: &Registry) -> Job {
    Job { timeout: Duration::from_secs(1), rate: Some(1000.0), ..job("mem-dgram:echo", registry) }
}

#[tokio::test(start_paused = true)]
async fn lost_datagrams_are_counted_to_the_last_one() {
    let registry = Registry::new().with(MemNetwork::new());
    datagrams(&registry, |n| if n % 20 == 7 { Fate::Drop } else { Fate::Answer }).await;
    let round = run(datagram_job(&registry), 10).await.unwrap();
    assert_eq!((round.requests, round.faults.lost), (10_000, 500));
    assert_eq!((round.answered, round.faults.late, round.faults.wrong), (9500, 0, 0));

    let closed = run(Job { rate: None, pipeline: 4, ..datagram_job(&registry) }, 2).await.unwrap();
    assert!(closed.faults.lost > 0 && closed.answered > closed.faults.lost);
}

#[tokio::test(start_paused = true)]
async fn what_comes_twice_or_late_or_wrong_is_told_apart() {
    let registry = Registry::new().with(MemNetwork::new());
    datagrams(&registry, |n| match n % 100 {
        3 => Fate::Twice,
        14 => Fate::Late,
        25 => Fate::Garble,
        _ => Fate::Answer,
    })
    .await;
    let round = run(datagram_job(&registry), 10).await.unwrap();
    let faults = &round.faults;
    assert_eq!((round.requests, faults.lost, faults.wrong), (10_000, 100, 100));
    // What would come after the last request is done is not waited for.
    assert!((80..=100).contains(&faults.late), "{faults:?}");
    assert!((99..=101).contains(&faults.duplicated.unwrap()), "{faults:?}");
    assert_eq!(faults.reordered, None);
}

#[tokio::test(start_paused = true)]
async fn replies_that_overtake_each_other_are_reordered() {
    let registry = Registry::new().with(MemNetwork::new());
    datagrams(&registry, |n| if n % 50 == 9 { Fate::Late } else { Fate::Answer }).await;
    let round = run(Job { timeout: Duration::from_secs(5), ..datagram_job(&registry) }, 10).await.unwrap();
    assert_eq!((round.faults.lost, round.faults.reordered), (0, Some(200)));
}
