//! What a worker lends its sessions, and that nothing of one session gets to another with it.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{Net, ask, limits, text, until};
use swapwire_core::{Framing, Handler, HandlerError, HandlerProperties, Reply, Request, handler_fn};
use tokio::sync::Semaphore;

struct Gate(Arc<Semaphore>);

impl Handler for Gate {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        match request.message() {
            b"wait" => self.0.acquire().await?.forget(),
            b"half" => {
                reply.send(b"half of a")?;
                self.0.acquire().await?.forget();
            }
            b"fail" => {
                reply.send(b"what a failed call left")?;
                return Err("as asked".into());
            }
            b"panic" => {
                reply.send(b"what a panic left")?;
                panic!("as asked");
            }
            _ => {}
        }
        reply.send(request.message())?;
        Ok(())
    }
}

/// One thread, so one set of buffers: whoever comes next gets those of whoever went before.
#[tokio::test(start_paused = true)]
async fn what_a_session_leaves_behind_reaches_nobody() {
    let net = Net::new();
    let gate = Arc::new(Semaphore::new(0));
    let server = net.start("mem:a", Gate(Arc::clone(&gate))).await;
    let other = net.server().listen("mem:b").handler(handler_fn(|request, reply| Ok(reply.send(request.message())?)));
    let other = other.framing(Framing::length_prefixed()).bind().await.unwrap().start();
    for bad in ["fail", "panic", "half", "wait"] {
        let mut session = net.connect("mem:a").await;
        assert_eq!(ask(&mut session, "one").await, "one");
        session.send(bad).await.unwrap();
        session.flush().await.unwrap();
        // The end of the session, or of its peer.
        if bad == "half" || bad == "wait" {
            drop(session);
        } else {
            let last = session.recv().await;
            assert!(!matches!(last, Ok(Some(_))), "{bad}: {last:?}");
        }
        let mut next = net.connect("mem:a").await;
        assert_eq!(ask(&mut next, "mine").await, "mine", "after {bad}");
        let mut framed = net.connect_framed("mem:b", Framing::length_prefixed()).await;
        assert_eq!(ask(&mut framed, "framed\notherwise").await, "framed\notherwise", "after {bad}");
    }
    gate.add_permits(2);
    assert!(other.stop().await.is_clean());
    drop(server);
}

/// Replies that a peer never took are gone with it.
#[tokio::test(start_paused = true)]
async fn what_a_peer_never_took_reaches_nobody() {
    let net = Net::new();
    let limits = limits(|l| l.write_timeout = Some(Duration::from_secs(5)));
    let large = handler_fn(|request, reply| Ok(reply.send(request.message().repeat(100_000))?));
    let server = net.start_limited("mem:a", large, limits).await;
    for round in 1..=3 {
        let mut deaf = net.connect("mem:a").await;
        for _ in 0..10 {
            deaf.send("d").await.unwrap();
        }
        deaf.flush().await.unwrap();
        until(&server, |stats| stats.write_timeouts == round).await;
        let mut next = net.connect("mem:a").await;
        assert_eq!(ask(&mut next, "n").await, "n".repeat(100_000));
    }
    drop(server);
}

/// More calls wait than may keep the worker's buffers, each with requests behind it and replies before it.
#[tokio::test(start_paused = true)]
async fn calls_that_wait_keep_their_own_bytes() {
    let net = Net::new();
    let gate = Arc::new(Semaphore::new(0));
    let server = net.start("mem:a", Gate(Arc::clone(&gate))).await;
    let mut sessions = Vec::new();
    for i in 0..60 {
        let mut session = net.connect("mem:a").await;
        // The long one arrives in several reads, and is large enough for a buffer of its own.
        for message in [format!("before {i}"), "wait".to_owned(), "long ".repeat(1000 * i), format!("after {i}")] {
            session.send(message).await.unwrap();
        }
        assert_eq!(text(&mut session).await, format!("before {i}"));
        sessions.push(session);
    }
    gate.add_permits(60);
    for (i, session) in sessions.iter_mut().enumerate() {
        assert_eq!(text(session).await, "wait");
        assert_eq!(text(session).await, "long ".repeat(1000 * i));
        assert_eq!(text(session).await, format!("after {i}"));
    }
    drop(sessions);
    assert!(server.stop().await.is_clean());
}

/// Says that it never waits, and does.
struct Liar(Arc<Semaphore>);

impl Handler for Liar {
    async fn handle(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        match request.message() {
            b"wait" => self.0.acquire().await?.forget(),
            b"panic" => panic!("as asked"),
            b"fail" => return Err("as asked".into()),
            b"twice" => reply.send(b"once")?,
            _ => {}
        }
        reply.send(request.message())?;
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(true)
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_waits_for_a_call_that_should_not_have() {
    let net = Net::new();
    let gate = Arc::new(Semaphore::new(0));
    let server = net.start("mem:a", Liar(Arc::clone(&gate))).await;
    let mut sessions = Vec::new();
    for _ in 0..40 {
        let mut session = net.connect("mem:a").await;
        for message in ["one", "wait", "two"] {
            session.send(message).await.unwrap();
        }
        session.flush().await.unwrap();
        sessions.push(session);
    }
    tokio::task::yield_now().await;
    gate.add_permits(40);
    for session in &mut sessions {
        for expected in ["one", "wait", "two"] {
            assert_eq!(text(session).await, expected);
        }
    }
    drop(sessions);
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn on_a_datagram_socket_one_bad_call_costs_one_datagram() {
    let net = Net::new();
    let server = net.start("mem-dgram:a", Liar(Arc::new(Semaphore::new(0)))).await;
    let mut session = net.connect("mem-dgram:a").await;
    for message in ["one", "panic", "two", "fail", "three", "wait", "twice", "", "four"] {
        session.send(message).await.unwrap();
    }
    session.flush().await.unwrap();
    for expected in ["one", "two", "three", "once", "twice", "", "four"] {
        assert_eq!(text(&mut session).await, expected);
    }
    let report = server.stop().await;
    assert_eq!((report.stats.panics, report.stats.handler_errors, report.stats.messages), (1, 2, 9));
}
