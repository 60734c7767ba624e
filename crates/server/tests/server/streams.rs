//! Message handlers on byte streams and message streams.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Net, ask, limits, text, until};
use swapwire_core::{
    Framing, Handler, HandlerError, Reply, Request, Session, SessionHandler, async_trait, handler_fn, handler_fn_async,
};
use swapwire_server::{BuildProblem, Listen, Server};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

fn upper() -> impl Handler {
    handler_fn(|request, reply| Ok(reply.send(request.message().to_ascii_uppercase())?))
}

/// Waits for a permit before it answers messages that start with `wait`, and panics on `panic`.
struct Gate(Arc<Semaphore>);

impl Handler for Gate {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        match request.message() {
            message if message.starts_with(b"wait") => self.0.acquire().await?.forget(),
            b"panic" => panic!("as asked"),
            b"fail" => return Err("as asked".into()),
            b"bye" => reply.close(),
            b"twice" => reply.send(b"once")?,
            _ => {}
        }
        reply.send(request.message())?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn pipelined_messages_are_answered_in_order() {
    for endpoint in ["mem:a", "mem-seq:a"] {
        let net = Net::new();
        let server = net.start(endpoint, upper()).await;
        let mut session = net.connect(endpoint).await;
        for i in 0..1000 {
            session.send(format!("m{i}")).await.unwrap();
            if i >= 10 {
                assert_eq!(text(&mut session).await, format!("M{}", i - 10));
            }
        }
        for i in 990..1000 {
            assert_eq!(text(&mut session).await, format!("M{i}"));
        }
        drop(session);
        until(&server, |stats| stats.done == 1).await;
        let report = server.stop().await;
        assert_eq!((report.stats.messages, report.cut), (1000, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn large_messages_in_odd_pieces() {
    let net = Net::new();
    let framing = Framing::length_prefixed();
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let server = net.server().listen("mem:a").handler(echo).framing(framing.clone()).bind().await.unwrap().start();
    let mut session = net.connect_framed("mem:a", framing).await;
    for len in [0, 1, 31_000, 32_768, 65_532, 65_536, 200_000, 1 << 20, 5] {
        let message: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        session.send(&message).await.unwrap();
        assert_eq!(session.recv().await.unwrap().unwrap(), message, "{len}");
    }
    drop(session);
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_delays_nobody_else_and_earlier_replies_leave() {
    for endpoint in ["mem:a", "mem-seq:a"] {
        let gate = Arc::new(Semaphore::new(0));
        let net = Net::new();
        let server = net.start(endpoint, Gate(Arc::clone(&gate))).await;
        let mut slow = net.connect(endpoint).await;
        let mut quick = net.connect(endpoint).await;
        for message in ["one", "two", "wait", "three"] {
            slow.send(message).await.unwrap();
        }
        assert_eq!(text(&mut slow).await, "one");
        assert_eq!(text(&mut slow).await, "two");
        for _ in 0..100 {
            assert_eq!(ask(&mut quick, "x").await, "x");
        }
        gate.add_permits(1);
        assert_eq!(text(&mut slow).await, "wait");
        assert_eq!(text(&mut slow).await, "three");
        drop((slow, quick));
        assert!(server.stop().await.is_clean());
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_an_error_and_a_close_end_one_session() {
    for endpoint in ["mem:a", "mem-seq:a"] {
        let net = Net::new();
        let server = net.start(endpoint, Gate(Arc::new(Semaphore::new(0)))).await;
        let mut other = net.connect(endpoint).await;
        assert_eq!(ask(&mut other, "x").await, "x");
        for (message, last) in [("panic", None), ("fail", None), ("bye", Some("bye"))] {
            let mut session = net.connect(endpoint).await;
            assert_eq!(ask(&mut session, "twice").await, "once");
            assert_eq!(text(&mut session).await, "twice");
            session.send(message).await.unwrap();
            let mut got = None;
            while let Ok(Some(message)) = session.recv().await {
                got = Some(message);
            }
            assert_eq!(got.as_deref(), last.map(str::as_bytes));
        }
        assert_eq!(ask(&mut other, "x").await, "x");
        until(&server, |stats| (stats.panics, stats.handler_errors, stats.done) == (1, 1, 1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_peer_is_closed_at_the_idle_deadline() {
    let net = Net::new();
    let limits = limits(|l| l.idle_timeout = Some(Duration::from_secs(60)));
    let server = net.start_limited("mem:a", upper(), limits).await;
    let mut session = net.connect("mem:a").await;
    for _ in 0..5 {
        sleep(Duration::from_secs(50)).await;
        assert_eq!(ask(&mut session, "x").await, "X");
    }
    let quiet = Instant::now();
    assert_eq!(session.recv().await.unwrap(), None);
    assert_eq!(quiet.elapsed().as_secs(), 60);
    drop(session);
    until(&server, |stats| stats.idle_timeouts == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_has_a_deadline_from_its_first_byte() {
    let net = Net::new();
    let limits = limits(|l| l.frame_timeout = Some(Duration::from_secs(30)));
    let server = net.start_limited("mem:a", upper(), limits).await;
    let mut dripping = net.connect_framed("mem:a", Framing::Chunks).await;
    dripping.send("ok\n").await.unwrap();
    assert_eq!(dripping.recv().await.unwrap().unwrap(), "OK\n");
    sleep(Duration::from_secs(100)).await;
    let begun = Instant::now();
    for _ in 0..20 {
        dripping.send("x").await.unwrap();
        if dripping.flush().await.is_err() {
            break;
        }
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(dripping.recv().await.unwrap(), None);
    assert!(begun.elapsed() >= Duration::from_secs(30));
    drop(dripping);
    until(&server, |stats| stats.frame_timeouts == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_is_closed_at_the_write_deadline() {
    let net = Net::new();
    let big = handler_fn(|_, reply| Ok(reply.send([b'x'; 300_000])?));
    let server = net.start("mem:a", big).await;
    let mut session = net.connect("mem:a").await;
    let begun = Instant::now();
    for _ in 0..3 {
        session.send("more").await.unwrap();
    }
    session.flush().await.unwrap();
    until(&server, |stats| stats.write_timeouts == 1).await;
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn bad_frames_end_the_session_after_the_earlier_replies() {
    let net = Net::new();
    let limits = limits(|l| l.max_message = 10);
    let server = net.start_limited("mem:a", upper(), limits).await;
    let mut session = net.connect("mem:a").await;
    session.send("fine").await.unwrap();
    session.send("much too long a line").await.unwrap();
    assert_eq!(text(&mut session).await, "FINE");
    assert_eq!(session.recv().await.unwrap(), None);
    drop(session);
    until(&server, |stats| stats.bad_frames == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_idle_lets_the_busy_finish_and_serves_those_who_wait() {
    for endpoint in ["mem:a", "mem-seq:a"] {
        let gate = Arc::new(Semaphore::new(0));
        let net = Net::new();
        let server = net.start(endpoint, Gate(Arc::clone(&gate))).await;
        let mut idle = net.connect(endpoint).await;
        assert_eq!(ask(&mut idle, "x").await, "x");
        let mut busy = net.connect(endpoint).await;
        busy.send("wait").await.unwrap();
        busy.flush().await.unwrap();
        until(&server, |stats| stats.sessions == 2).await;
        let mut queued = net.connect(endpoint).await;
        queued.send("late").await.unwrap();
        queued.flush().await.unwrap();

        let stop = tokio::spawn(server.stop());
        assert_eq!(idle.recv().await.unwrap(), None);
        assert_eq!(text(&mut queued).await, "late");
        gate.add_permits(1);
        assert_eq!(text(&mut busy).await, "wait");
        assert_eq!(busy.recv().await.unwrap(), None);
        drop((idle, busy, queued));
        let report = stop.await.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.stats.sessions, 3);
        assert!(report.drain < Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_done_at_the_drain_deadline_is_cut() {
    let net = Net::new();
    let server = net.start_limited("mem:a", Gate(Arc::new(Semaphore::new(0))), limits(|_| {})).await;
    let mut session = net.connect("mem:a").await;
    session.send("wait").await.unwrap();
    session.flush().await.unwrap();
    until(&server, |stats| stats.sessions == 1).await;
    let begun = Instant::now();
    let report = server.stop().await;
    assert_eq!((report.cut, report.is_clean()), (1, false));
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test]
async fn a_peer_that_never_pauses_does_not_hold_up_the_drain() {
    struct Loop;
    #[async_trait]
    impl SessionHandler for Loop {
        async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
            while let Some(message) = session.recv().await? {
                session.send(message).await?;
            }
            Ok(())
        }
    }
    for endpoint in ["mem:a", "mem-seq:a"] {
        for per_session in [false, true] {
            let net = Net::new();
            let mut limits = limits(|_| {});
            limits.drain_grace = Duration::from_millis(50);
            limits.drain_timeout = Duration::from_secs(20);
            let server = match per_session {
                true => net.start_limited(endpoint, Loop, limits).await,
                false => net.start_limited(endpoint, upper(), limits).await,
            };
            let (mut reader, mut writer) = net.connect(endpoint).await.split();
            let flood = tokio::spawn(async move { while writer.send("more and more and more").await.is_ok() {} });
            let drink = tokio::spawn(async move { while let Ok(Some(_)) = reader.recv().await {} });
            while server.snapshot().sessions == 0 {
                tokio::task::yield_now().await;
            }
            let report = server.stop().await;
            assert!(report.is_clean(), "{endpoint}: {report}");
            flood.await.unwrap();
            drink.await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_lingered_for() {
    // The last reply comes long after the last byte was read, and closes with input unread.
    let net = Net::new();
    let slow = handler_fn_async(|_| async move {
        sleep(Duration::from_secs(20)).await;
        Err::<&[u8], _>("enough".into())
    });
    let server = net.start("mem:a", slow).await;
    let mut session = net.connect("mem:a").await;
    session.send("x").await.unwrap();
    session.flush().await.unwrap();
    let begun = Instant::now();
    assert_eq!(session.recv().await.unwrap(), None);
    assert_eq!(begun.elapsed().as_secs(), 20);
    until(&server, |stats| stats.handler_errors == 1).await;
    assert!((21..=22).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn connections_over_the_limit_wait_their_turn() {
    let net = Net::new();
    let limits = limits(|l| l.max_connections = 2);
    let server = net.start_limited("mem:a", upper(), limits).await;
    let mut first = net.connect("mem:a").await;
    let mut second = net.connect("mem:a").await;
    assert_eq!(ask(&mut first, "a").await, "A");
    assert_eq!(ask(&mut second, "b").await, "B");
    let mut third = net.connect("mem:a").await;
    third.send("c").await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), third.recv()).await.is_err());
    assert_eq!(server.snapshot().sessions, 2);
    drop(first);
    assert_eq!(text(&mut third).await, "C");
}

#[tokio::test(start_paused = true)]
async fn listeners_share_the_room_and_none_keeps_it_idle() {
    let net = Net::new();
    let limits = limits(|l| l.max_connections = 1);
    let builder = net.server().listen("mem:a").listen("mem:b").listen("mem-seq:c").handler(upper());
    let server = builder.framing(Framing::Lines).limits(limits).bind().await.unwrap().start();
    for endpoint in ["mem:a", "mem:b", "mem-seq:c", "mem:b", "mem:a"] {
        let mut session = net.connect(endpoint).await;
        assert_eq!(ask(&mut session, "x").await, "X");
    }
    let mut first = net.connect("mem:a").await;
    assert_eq!(ask(&mut first, "x").await, "X");
    let mut waiting = Vec::new();
    for endpoint in ["mem:a", "mem:b", "mem-seq:c"] {
        let mut session = net.connect(endpoint).await;
        session.send("late").await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(1), session.recv()).await.is_err());
        waiting.push(session);
    }
    drop(first);
    let mut answers = JoinSet::new();
    for mut session in waiting {
        answers.spawn(async move { text(&mut session).await });
    }
    while let Some(answer) = answers.join_next().await {
        assert_eq!(answer.unwrap(), "LATE");
    }
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn session_handlers_run_flush_and_panic_alone() {
    struct Greeter;
    #[async_trait]
    impl SessionHandler for Greeter {
        async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
            session.send("hello").await?;
            while let Some(message) = session.recv().await? {
                match &message[..] {
                    b"panic" => panic!("as asked"),
                    b"bye" => {
                        session.send("x".repeat(200_000)).await?;
                        return Ok(());
                    }
                    _ => session.send(message).await?,
                }
            }
            Ok(())
        }
    }
    for endpoint in ["mem:a", "mem-seq:a"] {
        let net = Net::new();
        let server = net.start(endpoint, Greeter).await;
        let mut other = net.connect(endpoint).await;
        assert_eq!(text(&mut other).await, "hello");
        let mut session = net.connect(endpoint).await;
        assert_eq!(text(&mut session).await, "hello");
        session.send("panic").await.unwrap();
        assert!(!matches!(session.recv().await, Ok(Some(_))));
        let mut session = net.connect(endpoint).await;
        assert_eq!(text(&mut session).await, "hello");
        session.send("bye").await.unwrap();
        assert_eq!(text(&mut session).await.len(), 200_000);
        assert!(!matches!(session.recv().await, Ok(Some(_))));
        assert_eq!(ask(&mut other, "still").await, "still");
        drop(session);
        let stop = tokio::spawn(server.stop());
        assert!(!matches!(other.recv().await, Ok(Some(_))));
        drop(other);
        let report = stop.await.unwrap();
        assert_eq!((report.stats.panics, report.stats.done, report.stats.drained), (1, 1, 1), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_handlers_peer_has_the_same_deadlines() {
    struct Quiet;
    #[async_trait]
    impl SessionHandler for Quiet {
        async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
            while session.recv().await?.is_some() {
                session.send("x".repeat(100_000)).await?;
            }
            Ok(())
        }
    }
    let net = Net::new();
    let server = net.start("mem:a", Quiet).await;
    let begun = Instant::now();
    let mut idle = net.connect("mem:a").await;
    assert_eq!(idle.recv().await.unwrap(), None);
    assert_eq!(begun.elapsed().as_secs(), 300);
    let mut drip = net.connect_framed("mem:a", Framing::Chunks).await;
    drip.send("half a line").await.unwrap();
    let begun = Instant::now();
    assert_eq!(drip.recv().await.unwrap(), None);
    assert_eq!(begun.elapsed().as_secs(), 30);
    let mut stuck = net.connect("mem:a").await;
    for _ in 0..10 {
        stuck.send("more").await.unwrap();
    }
    stuck.flush().await.unwrap();
    until(&server, |stats| (stats.idle_timeouts, stats.frame_timeouts, stats.write_timeouts) == (1, 1, 1)).await;
}

#[tokio::test]
async fn the_composition_is_checked_before_the_start() {
    let net = Net::new();
    let late = handler_fn_async(|message| async move { Ok(message) });
    let error = net
        .server()
        .listen("mem:a")
        .handler(late)
        .listen("tpc://x:1")
        .listen("nonsense")
        .listen(Listen::on("mem:b").handler(upper()).framing(Framing::Lines))
        .limits(limits(|l| l.max_message = 0))
        .bind()
        .await
        .unwrap_err();
    let problems: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(problems[1].starts_with("serve mem:a: the handler needs whole messages"), "{problems:?}");
    assert!(problems[2].contains("unknown scheme \"tpc\"; known: mem, mem-dgram, mem-seq"), "{problems:?}");
    let nothing = Server::builder().bind().await.unwrap_err();
    assert!(matches!(nothing.problems(), [BuildProblem::NoEndpoint]), "{nothing:?}");

    let _first =
        net.server().listen("mem:c").listen("mem:d").handler(upper()).framing(Framing::Lines).bind().await.unwrap();
    let taken = net.server().listen("mem:e").listen("mem:c").listen("mem:d?backlog=x").listen("mem:c");
    let error = taken.handler(upper()).framing(Framing::Lines).bind().await.unwrap_err();
    let problems: Vec<_> = error.problems().iter().map(ToString::to_string).collect();
    assert!(problems.len() == 3 && problems[1].contains("backlog"), "{problems:?}");
    assert_eq!(error.class(), swapwire_core::ErrorClass::Configuration);
    let taken = net.server().listen("mem:e").listen("mem:c").handler(upper()).framing(Framing::Lines);
    let error = taken.bind().await.unwrap_err();
    assert_eq!(error.class(), swapwire_core::ErrorClass::ListenerFatal);
    // Nothing of the failed server stays bound.
    drop(net.server().listen("mem:e").handler(upper()).framing(Framing::Lines).bind().await.unwrap());
}

#[tokio::test]
async fn dropping_the_server_closes_everything() {
    let dropped = Arc::new(Notify::new());
    struct Held(Arc<Notify>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let net = Net::new();
    let seen = Arc::clone(&dropped);
    let handler = handler_fn_async(move |message| {
        let held = Held(Arc::clone(&seen));
        async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(message)
        }
    });
    let server = net.start("mem:a", handler).await;
    let mut session = net.connect("mem:a").await;
    session.send("x").await.unwrap();
    session.flush().await.unwrap();
    while server.snapshot().sessions == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    drop(server);
    dropped.notified().await;
    assert!(!matches!(session.recv().await, Ok(Some(_))));
}
