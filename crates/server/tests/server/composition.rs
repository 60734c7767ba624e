//! Limits that make no sense are refused by name, and none makes a server panic; peers and calls that go on beyond them are
//! noticed.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use crate::common::{Net, ask};
use swapwire_core::{ErrorClass, Framing, handler_fn};
use swapwire_server::{BuildProblem, Limits, Listen, WhenFull};

/// Numbers that are not random, but as good.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn size(&mut self) -> usize {
        const SIZES: [usize; 9] = [0, 1, 2, 64, 1000, 1 << 20, u32::MAX as usize, usize::MAX >> 3, usize::MAX];
        SIZES[self.next(SIZES.len())]
    }

    fn time(&mut self) -> Duration {
        const TIMES: [Duration; 6] = [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_millis(1),
            Duration::from_secs(1),
            Duration::from_secs(1 << 40),
            Duration::MAX,
        ];
        TIMES[self.next(TIMES.len())]
    }
}

/// Some of the limits, changed at random.
fn mutate(numbers: &mut Numbers) -> Limits {
    let mut limits = Limits::default();
    for _ in 0..=numbers.next(3) {
        match numbers.next(19) {
            0 => limits.max_connections = numbers.size(),
            1 => (limits.max_per_source, limits.memory_budget) = (Some(numbers.size()), Some(numbers.size())),
            2 => limits.max_handshakes = numbers.size(),
            3 => limits.max_message = numbers.size(),
            4 => limits.max_reply = numbers.size(),
            5 => limits.out_queue = numbers.size(),
            6 => limits.frame_timeout = Some(numbers.time()),
            7 => limits.write_timeout = Some(numbers.time()),
            8 => limits.idle_timeout = Some(numbers.time()),
            9 => limits.handshake_timeout = Some(numbers.time()),
            10 => limits.drain_timeout = numbers.time(),
            11 => limits.drain_grace = numbers.time(),
            12 => limits.max_peers = numbers.size(),
            13 => limits.max_unvalidated_peers = numbers.size(),
            14 => limits.peer_queue = numbers.size(),
            15 => limits.peer_bytes = numbers.size(),
            16 => limits.source_rate = Some(numbers.size() as u32),
            17 => limits.max_waiting = numbers.size(),
            _ => limits.when_full = WhenFull::Refuse("full".into()),
        }
    }
    limits
}

#[tokio::test(start_paused = true)]
async fn any_limits_are_refused_by_name_or_serve() {
    let mut numbers = Numbers(1);
    let mut refused = 0;
    for _ in 0..3000 {
        let limits = mutate(&mut numbers);
        let net = Net::new();
        let echo = || handler_fn(|request, reply| Ok(reply.send(request.message())?));
        let builder = net.server().listen("mem:a").listen("mem-dgram:a").handler(echo()).framing(Framing::Lines);
        match builder.limits(limits.clone()).bind().await {
            Ok(server) => {
                let server = server.start();
                for endpoint in ["mem:a", "mem-dgram:a"] {
                    let mut session = net.connect(endpoint).await;
                    // A deadline may be over before it has begun.
                    if session.send("x").await.is_ok() {
                        let _ = tokio::time::timeout(Duration::from_secs(1), session.recv()).await;
                    }
                }
                drop(server.stop().await);
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.class(), ErrorClass::Configuration);
                let known = format!("{limits:?}");
                for problem in error.problems() {
                    let BuildProblem::Limit { name, .. } = problem else { panic!("{problem}") };
                    assert!(known.contains(&format!("{name}: ")), "{problem}");
                }
            }
        }
    }
    assert!((300..2700).contains(&refused), "{refused}");
}

#[tokio::test]
async fn every_mistake_is_told_at_once() {
    let net = Net::new();
    let mut limits = Limits::default();
    (limits.max_connections, limits.peer_queue, limits.peer_bytes) = (0, usize::MAX, 1);
    (limits.idle_timeout, limits.drain_grace) = (Some(Duration::ZERO), Duration::MAX);
    let error = net.server().listen("nonsense").limits(limits).workers(0).bind().await.unwrap_err();
    let problems: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    for name in ["max_connections", "peer_queue", "peer_bytes", "idle_timeout", "drain_grace", "workers", "nonsense"] {
        assert!(problems.iter().any(|problem| problem.contains(name)), "{name}: {problems:?}");
    }
    assert_eq!(problems.len(), 7, "{problems:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_only_offends_is_closed() {
    let net = Net::new();
    let mut limits = Limits::default();
    limits.max_message = 10;
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let server = net.start_limited("mem-seq:a", echo, limits).await;
    let mut session = net.connect("mem-seq:a").await;
    for _ in 0..99 {
        session.send([b'x'; 11]).await.unwrap();
    }
    assert_eq!(ask(&mut session, "x").await, "x");
    session.send([b'x'; 11]).await.unwrap();
    session.flush().await.unwrap();
    assert!(!matches!(session.recv().await, Ok(Some(_))));
    crate::common::until(&server, |stats| (stats.bad_frames, stats.dropped_requests) == (1, 100)).await;
}

#[tokio::test]
async fn a_call_that_keeps_its_thread_is_noticed() {
    let net = Net::new();
    let blocks = handler_fn(|request, reply| {
        // It is what the test is about, and waits for nothing.
        std::thread::sleep(Duration::from_millis(150));
        Ok(reply.send(request.message())?)
    });
    let server = net.start("mem:a", blocks).await;
    let mut session = net.connect("mem:a").await;
    assert_eq!(ask(&mut session, "x").await, "x");
    assert_eq!(ask(&mut session, "y").await, "y");
    crate::common::until(&server, |stats| stats.worker_late > 0).await;
    drop(session);
    assert!(server.stop().await.to_string().contains("blocked"));
}

#[tokio::test(start_paused = true)]
async fn a_listener_has_limits_of_its_own() {
    let net = Net::new();
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let small = Listen::on("mem-seq:small").named("small").limits(|limits| limits.max_message(10));
    let server = net.server().listen("mem-seq:a").listen(small).handler(echo);
    let server = server.limits(Limits::default().max_message(100)).bind().await.unwrap().start();
    for (endpoint, most) in [("mem-seq:a", 100), ("mem-seq:small", 10)] {
        let mut session = net.connect(endpoint).await;
        session.send(vec![b'x'; most + 1]).await.unwrap();
        assert_eq!(ask(&mut session, &"y".repeat(most)).await, "y".repeat(most), "{endpoint}");
    }
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn what_is_of_the_whole_server_is_no_limit_of_a_listener() {
    let net = Net::new();
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?)).any_slicing();
    let adjusted =
        Listen::on("mem:a?x=1").limits(|limits| limits.max_connections(7).memory_budget(1 << 30).peer_queue(0));
    let (same, nameless) = (Listen::on("mem:b").named("b"), Listen::on("mem:d").named("a\nb"));
    let server = net.server().listen(adjusted).listen(same.clone()).listen(same).listen(nameless).handler(echo);
    let error = server.bind().await.unwrap_err();
    let problems: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    let shared = "is for the whole server, not for one listener";
    let named = "each listener has one of its own, of 1 to 255 bytes without control characters";
    assert_eq!(
        problems,
        [
            "limits of mem:a?x=1: peer_queue must be at least 1".to_owned(),
            format!("limits of mem:a?x=1: max_connections {shared}"),
            format!("limits of mem:a?x=1: memory_budget {shared}"),
            format!("name \"b\": {named}"),
            format!("name \"a\\nb\": {named}"),
        ]
    );
}

#[tokio::test]
async fn a_check_finds_what_can_be_known_before_a_bind() {
    let net = Net::new();
    let echo = || handler_fn(|request, reply| Ok(reply.send(request.message())?)).any_slicing();
    let bound = net.server().listen("mem:a").handler(echo()).bind().await.unwrap();
    let again = net.server().listen("mem:a").handler(echo());
    again.check().await.unwrap();
    assert!(matches!(again.bind().await.unwrap_err().problems(), [BuildProblem::Bind(_)]));
    drop(bound);
    let server = net.server().listen("mem:b?backlog=no").listen("mem:c?backlgo=1").handler(echo());
    let problems: Vec<_> = server.check().await.unwrap_err().problems().iter().map(ToString::to_string).collect();
    assert!(problems[0].starts_with("bind mem:b?backlog=no: option backlog=no: "), "{problems:?}");
    assert!(problems[1].contains("did you mean \"backlog\"?") && problems.len() == 2, "{problems:?}");
    // What needs no transport comes first, and alone.
    let server = net.server().listen("mem:b?backlog=no").listen(Listen::on("mem:c").named("")).handler(echo());
    assert!(matches!(server.check().await.unwrap_err().problems(), [BuildProblem::Name { .. }]));
}

#[tokio::test(start_paused = true)]
async fn a_listener_has_transports_of_its_own() {
    let (net, other) = (Net::new(), Net::new());
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let there = Listen::on("mem-seq:a").named("there").registry(other.registry.clone());
    let server = net.server().listen("mem-seq:a").listen(there).handler(echo).bind().await.unwrap().start();
    for net in [&net, &other] {
        assert_eq!(ask(&mut net.connect("mem-seq:a").await, "hello").await, "hello");
    }
    assert!(server.stop().await.is_clean());
}
