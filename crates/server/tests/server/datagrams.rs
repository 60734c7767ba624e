//! Message handlers and session handlers on datagram sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::common::{Net, ask, limits, text, until};
use swapwire_core::{
    Handler, HandlerError, Registry, Reply, Request, Session, SessionHandler, async_trait, handler_fn,
};
use swapwire_mem::MemNetwork;
use swapwire_server::{Listen, PerMessage, Server};
use swapwire_testkit::{Faults, Faulty};
use tokio::sync::Semaphore;

const HERE: &str = "mem-dgram:here";

struct Gate(Arc<Semaphore>);

impl Handler for Gate {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        let peer = request.peer().expect("memory clients have addresses").to_string();
        match request.message() {
            b"panic" => panic!("as asked"),
            b"fail" => return Err("as asked".into()),
            message if message.starts_with(b"wait") => self.0.acquire().await?.forget(),
            _ => {}
        }
        assert_eq!(request.peer().expect("still there").to_string(), peer);
        reply.send(request.message().to_ascii_uppercase())?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn every_message_is_answered_the_empty_one_too() {
    let net = Net::new();
    let server = net.start(HERE, Gate(Arc::new(Semaphore::new(0)))).await;
    let mut session = net.connect(HERE).await;
    for message in ["hello", "", "x"] {
        assert_eq!(ask(&mut session, message).await, message.to_uppercase());
    }
    let large = "y".repeat(60_000);
    assert_eq!(ask(&mut session, &large).await, large.to_uppercase());
    let report = server.stop().await;
    assert_eq!((report.stats.messages, report.stats.sessions), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_delays_nobody_and_gets_its_own_answer() {
    let gate = Arc::new(Semaphore::new(0));
    let net = Net::new();
    let server = net.start(HERE, Gate(Arc::clone(&gate))).await;
    // More than the batches that can be lent, so that some calls wait with a copy.
    let mut slow = Vec::new();
    for i in 0..50 {
        let mut session = net.connect(HERE).await;
        session.send(format!("wait{i}")).await.unwrap();
        session.flush().await.unwrap();
        slow.push(session);
        if i % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut quick = net.connect(HERE).await;
    for i in 0..500 {
        assert_eq!(ask(&mut quick, &format!("m{i}")).await, format!("M{i}"));
    }
    gate.add_permits(50);
    for (i, session) in slow.iter_mut().enumerate() {
        assert_eq!(text(session).await, format!("WAIT{i}"));
    }
    let report = server.stop().await;
    assert!(report.is_clean());
    assert_eq!(report.stats.messages, 550);
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_an_error_cost_one_datagram() {
    let net = Net::new();
    let server = net.start(HERE, Gate(Arc::new(Semaphore::new(0)))).await;
    let mut session = net.connect(HERE).await;
    for message in ["a", "panic", "fail", "b"] {
        session.send(message).await.unwrap();
    }
    assert_eq!(text(&mut session).await, "A");
    assert_eq!(text(&mut session).await, "B");
    let stats = server.snapshot();
    assert_eq!((stats.panics, stats.handler_errors), (1, 1));
    assert_eq!((stats.sessions_panicked, stats.sessions_given_up), (0, 0), "there are no sessions");
}

#[tokio::test(start_paused = true)]
async fn when_too_many_calls_wait_receiving_stops_and_is_counted() {
    struct Counting(AtomicUsize, Gate);
    impl Handler for Counting {
        async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
            self.0.fetch_add(1, Relaxed);
            self.1.handle(request, reply).await
        }
    }
    let gate = Arc::new(Semaphore::new(0));
    let handler = Arc::new(Counting(AtomicUsize::new(0), Gate(Arc::clone(&gate))));
    let net = Net::new();
    let limits = limits(|l| l.max_waiting = 3);
    let server = net.start_limited(HERE, PerMessage::new(Arc::clone(&handler)), limits).await;
    let mut session = net.connect(HERE).await;
    for i in 0..40 {
        session.send(format!("wait{i}")).await.unwrap();
    }
    session.flush().await.unwrap();
    until(&server, |stats| stats.receive_stalls > 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((handler.0.load(Relaxed), server.snapshot().receive_stalls), (3, 1));
    gate.add_permits(40);
    let mut got: Vec<String> = Vec::new();
    for _ in 0..40 {
        got.push(text(&mut session).await);
    }
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.len(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_drain_answers_what_waits_and_cuts_what_never_ends() {
    let gate = Arc::new(Semaphore::new(0));
    let net = Net::new();
    let server = net.start(HERE, Gate(Arc::clone(&gate))).await;
    let mut session = net.connect(HERE).await;
    session.send("wait").await.unwrap();
    session.send("queued").await.unwrap();
    session.flush().await.unwrap();
    let stop = tokio::spawn(server.stop());
    assert_eq!(text(&mut session).await, "QUEUED");
    gate.add_permits(1);
    assert_eq!(text(&mut session).await, "WAIT");
    assert!(stop.await.unwrap().is_clean());

    let server = net.start_limited(HERE, Gate(gate), limits(|_| {})).await;
    let mut session = net.connect(HERE).await;
    session.send("wait").await.unwrap();
    session.flush().await.unwrap();
    until(&server, |_| true).await;
    tokio::task::yield_now().await;
    assert_eq!(server.stop().await.cut, 1);
}

struct Counter;

#[async_trait]
impl SessionHandler for Counter {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        let mut count = 0;
        while let Some(message) = session.recv().await? {
            count += 1;
            match &message[..] {
                b"panic" => panic!("as asked"),
                b"end" => return Ok(()),
                _ => session.send(format!("{count}")).await?,
            }
        }
        session.send("bye").await?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_does_not_notice_what_is_above_the_limit() {
    let net = Net::new();
    let server = net.start_limited(HERE, Counter, limits(|l| l.max_message = 100)).await;
    let mut session = net.connect(HERE).await;
    for count in 1..4 {
        session.send("y".repeat(101)).await.unwrap();
        assert_eq!(ask(&mut session, &"x".repeat(100)).await, count.to_string());
    }
    let stats = server.stop().await.stats;
    assert_eq!((stats.sessions, stats.messages, stats.dropped_requests, stats.handler_errors), (1, 3, 3, 0));
    assert_eq!(stats.dropped_too_large, 3);
}

#[tokio::test(start_paused = true)]
async fn each_peer_has_a_session_with_its_own_state() {
    let net = Net::new();
    let server = net.start(HERE, Counter).await;
    let mut a = net.connect(HERE).await;
    let mut b = net.connect(HERE).await;
    assert_eq!(ask(&mut a, "x").await, "1");
    assert_eq!(ask(&mut a, "").await, "2");
    assert_eq!(ask(&mut b, "x").await, "1");
    b.send("panic").await.unwrap();
    a.send("end").await.unwrap();
    a.flush().await.unwrap();
    b.flush().await.unwrap();
    until(&server, |stats| (stats.panics, stats.done) == (1, 1)).await;
    assert_eq!(ask(&mut a, "x").await, "1");
    assert_eq!(ask(&mut b, "x").await, "1");
    let stop = tokio::spawn(server.stop());
    assert_eq!(text(&mut a).await, "bye");
    assert_eq!(text(&mut b).await, "bye");
    let report = stop.await.unwrap();
    assert_eq!((report.stats.sessions, report.stats.drained, report.cut), (4, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn sessions_on_a_datagram_socket_are_bounded_and_expire() {
    let net = Net::new();
    let limits = limits(|l| {
        l.max_peers = 2;
        l.idle_timeout = Some(Duration::from_secs(10));
    });
    let server = net.start_limited(HERE, Counter, limits).await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut session = net.connect(HERE).await;
        assert_eq!(ask(&mut session, "x").await, "1");
        sessions.push(session);
    }
    let mut third = net.connect(HERE).await;
    third.send("x").await.unwrap();
    third.flush().await.unwrap();
    until(&server, |stats| (stats.dropped_requests, stats.dropped_table) == (1, 1)).await;
    assert_eq!(ask(&mut sessions[0], "x").await, "2");
    until(&server, |stats| stats.idle_timeouts == 2).await;
    assert_eq!(ask(&mut third, "x").await, "1");
    assert_eq!(ask(&mut sessions[0], "x").await, "1");
}

#[tokio::test(start_paused = true)]
async fn a_full_peer_costs_its_own_replies_only() {
    let net = Net::new();
    let server = net.start(HERE, handler_fn(|request, reply| Ok(reply.send(request.message())?))).await;
    let mut deaf = net.connect(HERE).await;
    for i in 0..2000 {
        // The server's own inbox may be full for a moment.
        let _ = deaf.send(format!("{i}")).await;
        let _ = deaf.flush().await;
        tokio::task::yield_now().await;
    }
    let mut quick = net.connect(HERE).await;
    for i in 0..100 {
        let message = format!("m{i}");
        assert_eq!(ask(&mut quick, &message).await, message);
    }
    until(&server, |stats| stats.dropped_replies > 0).await;
    // What was not dropped comes in order.
    let mut last = None;
    while let Ok(Ok(Some(message))) = tokio::time::timeout(Duration::from_secs(2), deaf.recv()).await {
        let number: u32 = std::str::from_utf8(&message).unwrap().parse().unwrap();
        assert!(last < Some(number));
        last = Some(number);
    }
    assert!(last.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_a_stuck_socket_has_not_sent_at_the_deadline_is_cut_and_counted() {
    for (with_sessions, counted) in [(false, (3, 1, 2, 0)), (true, (4, 4, 0, 0))] {
        let mut faults = Faults::default();
        (faults.stall, faults.stall_for) = (1.0, Duration::from_secs(60)..Duration::from_secs(61));
        let network = MemNetwork::new();
        let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
        let builder = Server::builder().transport(Faulty::new(network.clone(), faults, 1));
        let builder = builder.limits(limits(|l| l.out_queue = 1));
        let listen = Listen::on(HERE);
        let builder = builder.listen(if with_sessions { listen.handler(Counter) } else { listen.handler(echo) });
        let server = builder.bind().await.unwrap().start();
        let mut client = Net { registry: Registry::new().with(network) }.connect(HERE).await;
        for message in ["one", "two", "three"] {
            client.send(message).await.unwrap();
        }
        client.flush().await.unwrap();
        // They are received after a minute, and the first reply takes another one.
        tokio::time::sleep(Duration::from_secs(70)).await;
        let report = server.stop().await;
        assert!(!report.is_clean(), "{report}");
        let stats = report.stats;
        assert_eq!((report.cut, stats.cut_replies, stats.dropped_requests, stats.cut), counted, "{report}");
        assert_eq!((stats.failed_replies, stats.dropped_drain), (0, counted.2), "{report}");
    }
}
