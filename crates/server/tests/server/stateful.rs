//! Handlers with a state for each session: what they reply, and what becomes of the state.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::common::forged::Forged;
use crate::common::log::Log;
use crate::common::numbered::numbered;
use crate::common::{Net, ask, limits, text, until};
use swapwire_core::{Framing, HandlerError, Peer, Reply, ReplyError, Request, SessionId, StatefulHandler};
use swapwire_server::{Limits, Running, Server};
use tokio::sync::Semaphore;

const WIRES: [&str; 3] = ["mem:a", "mem-seq:a", "mem-dgram:a"];

/// Numbers the messages of each session. Waits for a permit before it answers messages that start with `wait`.
#[derive(Default)]
struct Numbers {
    begun: AtomicUsize,
    dropped: Arc<AtomicUsize>,
    permits: Option<Arc<Semaphore>>,
}

struct Number {
    count: u64,
    session: SessionId,
    dropped: Arc<AtomicUsize>,
}

impl Drop for Number {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Relaxed);
    }
}

impl StatefulHandler for Numbers {
    type State = Number;

    fn begin(&self, peer: &Peer) -> Number {
        self.begun.fetch_add(1, Relaxed);
        Number { count: 0, session: peer.session().unwrap(), dropped: Arc::clone(&self.dropped) }
    }

    async fn handle(
        &self,
        state: &mut Number,
        request: Request<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), HandlerError> {
        assert_eq!(request.session(), state.session);
        state.count += 1;
        let numbered = [state.count.to_string().as_bytes(), b" ", request.message()].concat();
        let long = [b'!'; 65];
        match request.message() {
            message if message.starts_with(b"wait") => self.permits.as_ref().unwrap().acquire().await?.forget(),
            b"panic" => panic!("as asked"),
            b"fail" => {
                reply.send("lost")?;
                return Err("as asked".into());
            }
            b"bye" => reply.close(),
            b"twice" => reply.send(&numbered)?,
            b"line feed" => match reply.send("two\nlines") {
                Err(ReplyError::Frame(_)) => return Ok(reply.send("no line feeds here")?),
                other => return Ok(other?),
            },
            b"shorter" => return Ok(reply.send(long).or_else(|_| reply.send("short"))?),
            b"ignore" => {
                let _ = reply.send(long);
                return Ok(());
            }
            b"long" => return Ok(reply.send(long)?),
            b"silent" => return Ok(()),
            _ => {}
        }
        Ok(reply.send(numbered)?)
    }
}

fn counted(server_side: &Numbers) -> (usize, usize) {
    (server_side.begun.load(Relaxed), server_side.dropped.load(Relaxed))
}

#[tokio::test(start_paused = true)]
async fn each_session_has_a_state_of_its_own() {
    for endpoint in WIRES {
        let (net, handler) = (Net::new(), Arc::new(Numbers::default()));
        let server = net.start(endpoint, Arc::clone(&handler)).await;
        let (mut one, mut other) = (net.connect(endpoint).await, net.connect(endpoint).await);
        for round in 1..=3 {
            assert_eq!(ask(&mut one, "a").await, format!("{round} a"), "{endpoint}");
            assert_eq!(ask(&mut other, "b").await, format!("{round} b"), "{endpoint}");
        }
        assert_eq!(counted(&handler), (2, 0), "{endpoint}");
        assert_eq!(ask(&mut one, "twice").await, "4 twice");
        assert_eq!(text(&mut one).await, "4 twice");
        drop((one, other));
        let report = server.stop().await;
        assert!(report.is_clean(), "{endpoint}: {report}");
        assert_eq!((counted(&handler), report.stats.messages), ((2, 2), 7), "{endpoint}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn earlier_replies_leave_while_a_call_waits_and_the_order_holds() {
    for endpoint in WIRES {
        let (net, permits) = (Net::new(), Arc::new(Semaphore::new(0)));
        let server = net.start(endpoint, Numbers { permits: Some(Arc::clone(&permits)), ..Numbers::default() }).await;
        let mut client = net.connect(endpoint).await;
        for message in ["a", "b", "wait", "c"] {
            client.send(message).await.unwrap();
        }
        assert_eq!((text(&mut client).await, text(&mut client).await), ("1 a".to_owned(), "2 b".to_owned()));
        permits.add_permits(1);
        assert_eq!((text(&mut client).await, text(&mut client).await), ("3 wait".to_owned(), "4 c".to_owned()));
        drop(client);
        assert!(server.stop().await.is_clean(), "{endpoint}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_or_a_panic_drops_the_replies_of_its_call_and_the_state() {
    for endpoint in WIRES {
        for bad in ["fail", "panic"] {
            let (net, handler) = (Net::new(), Arc::new(Numbers::default()));
            let server = net.start(endpoint, Arc::clone(&handler)).await;
            let mut client = net.connect(endpoint).await;
            client.send("before").await.unwrap();
            client.send(bad).await.unwrap();
            assert_eq!(text(&mut client).await, "1 before", "{endpoint} {bad}");
            until(&server, |stats| stats.handler_errors + stats.panics == 1).await;
            let stats = server.snapshot();
            let (given_up, panicked) = (u64::from(bad == "fail"), u64::from(bad == "panic"));
            assert_eq!((stats.handler_errors, stats.sessions_given_up), (given_up, given_up), "{endpoint} {bad}");
            assert_eq!((stats.panics, stats.sessions_panicked), (panicked, panicked), "{endpoint} {bad}");
            assert_eq!(counted(&handler), (1, 1), "{endpoint} {bad}");
            match endpoint {
                "mem-dgram:a" => assert_eq!(ask(&mut client, "anew").await, "1 anew"),
                _ => assert!(!matches!(client.recv().await, Ok(Some(_))), "{endpoint} {bad}"),
            }
            server.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn close_ends_the_session_behind_its_replies() {
    for endpoint in ["mem:a", "mem-seq:a"] {
        let (net, handler) = (Net::new(), Arc::new(Numbers::default()));
        let server = net.start(endpoint, Arc::clone(&handler)).await;
        let mut client = net.connect(endpoint).await;
        assert_eq!(ask(&mut client, "bye").await, "1 bye");
        assert_eq!(client.recv().await.unwrap(), None);
        assert_eq!((counted(&handler), server.stop().await.stats.done), ((1, 1), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_and_the_framing_are_known_in_the_call() {
    for endpoint in WIRES {
        let net = Net::new();
        let server = net.start_limited(endpoint, Numbers::default(), limits(|l| l.max_reply = 64)).await;
        let mut client = net.connect(endpoint).await;
        assert_eq!(ask(&mut client, "shorter").await, "short", "{endpoint}");
        if endpoint == "mem:a" {
            assert_eq!(ask(&mut client, "line feed").await, "no line feeds here");
        }
        drop(client);
        let stats = server.stop().await.stats;
        assert_eq!((stats.handler_errors, stats.withheld_replies), (0, 0), "{endpoint}");
    }
}

/// The encoder of a framing with a state is one, whoever frames.
#[tokio::test(start_paused = true)]
async fn a_framing_with_a_state_counts_on() {
    let net = Net::new();
    let builder = net.server().listen("mem:a").handler(Numbers::default()).framing(numbered());
    let server = builder.bind().await.unwrap().start();
    let mut client = net.connect_framed("mem:a", numbered()).await;
    for round in 1..=5 {
        assert_eq!(ask(&mut client, "a").await, format!("{round} a"));
    }
    drop(client);
    assert!(server.stop().await.is_clean());
}

/// `nc -u` sends a line feed, and gets one.
#[tokio::test(start_paused = true)]
async fn lines_of_datagrams_are_answered_as_lines() {
    let net = Net::new();
    let server = net.start("mem-seq:a", Numbers::default()).await;
    let mut client = net.connect_framed("mem-seq:a", Framing::Chunks).await;
    assert_eq!(ask(&mut client, "a\n").await, "1 a\n");
    assert_eq!(ask(&mut client, "b").await, "2 b");
    assert_eq!(ask(&mut client, "c\n").await, "3 c\n");
    drop(client);
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_drain_answers_what_has_come_and_drops_the_state() {
    for endpoint in WIRES {
        let (net, permits) = (Net::new(), Arc::new(Semaphore::new(0)));
        let handler = Arc::new(Numbers { permits: Some(Arc::clone(&permits)), ..Numbers::default() });
        let server = net.start(endpoint, Arc::clone(&handler)).await;
        let mut client = net.connect(endpoint).await;
        assert_eq!(ask(&mut client, "a").await, "1 a");
        client.send("wait").await.unwrap();
        client.send("behind").await.unwrap();
        client.flush().await.unwrap();
        let stop = tokio::spawn(server.stop());
        tokio::time::sleep(Duration::from_millis(50)).await;
        permits.add_permits(1);
        assert_eq!((text(&mut client).await, text(&mut client).await), ("2 wait".to_owned(), "3 behind".to_owned()));
        drop(client);
        assert!(stop.await.unwrap().is_clean(), "{endpoint}");
        assert_eq!(counted(&handler), (1, 1), "{endpoint}");
    }
}

async fn forged(wire: &Forged, handler: &Arc<Numbers>, limits: Limits) -> Running {
    let builder = Server::builder().transport(wire.clone()).listen("forged://192.0.2.200:7");
    builder.handler(Arc::clone(handler)).limits(limits).bind().await.unwrap().start()
}

#[tokio::test(start_paused = true)]
async fn the_state_of_the_oldest_peer_that_may_be_forged_makes_room() {
    let (wire, handler) = (Forged::default(), Arc::new(Numbers::default()));
    let server = forged(&wire, &handler, limits(|l| (l.max_peers, l.max_unvalidated_peers) = (2, 2))).await;
    for peer in ["192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3"] {
        wire.send(peer, "silent");
        assert!(wire.replies().await.is_empty());
    }
    assert_eq!(counted(&handler), (3, 1));
    wire.send("192.0.2.3:3", "kept");
    wire.send("192.0.2.1:1", "anew");
    let mut replies: Vec<_> = wire.replies().await.into_iter().map(|(_, reply)| reply).collect();
    replies.sort();
    assert_eq!(replies, [b"1 anew", b"2 kept"]);
    let stats = server.stop().await.stats;
    assert_eq!((stats.evicted, counted(&handler)), (2, (4, 4)));
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_quiet_peer_is_dropped() {
    for endpoint in WIRES {
        let (net, handler) = (Net::new(), Arc::new(Numbers::default()));
        let idle = Duration::from_secs(10);
        let server = net.start_limited(endpoint, Arc::clone(&handler), limits(|l| l.idle_timeout = Some(idle))).await;
        let mut client = net.connect(endpoint).await;
        assert_eq!(ask(&mut client, "a").await, "1 a");
        tokio::time::sleep(idle / 2).await;
        assert_eq!(counted(&handler), (1, 0), "{endpoint}");
        until(&server, |stats| stats.idle_timeouts == 1).await;
        assert_eq!(counted(&handler), (1, 1), "{endpoint}");
        server.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_above_the_bound_of_amplification_is_refused_in_the_call_and_counted() {
    for (message, replied) in [("shorter", 1), ("ignore", 0)] {
        let (log, _heard) = Log::hear();
        let (wire, handler) = (Forged::default(), Arc::new(Numbers::default()));
        let server = forged(&wire, &handler, limits(|_| {})).await;
        wire.send("192.0.2.1:1", message);
        assert_eq!(wire.replies().await.len(), replied, "{message}");
        wire.send("192.0.2.1:1", "goes on");
        assert_eq!(wire.replies().await[0].1, b"2 goes on", "{message}");
        let lines = log.lines();
        assert!(lines[0].starts_with("reply withheld: 65 bytes, 64 allowed"), "{message}: {lines:?}");
        let stats = server.stop().await.stats;
        assert_eq!((stats.withheld_replies, stats.handler_errors), (1, 0), "{message}");
        assert_eq!(counted(&handler), (1, 1), "{message}");
    }
}

/// What earlier messages earned may be used.
#[tokio::test(start_paused = true)]
async fn what_a_peer_has_earned_adds_up() {
    let (wire, handler) = (Forged::default(), Arc::new(Numbers::default()));
    let server = forged(&wire, &handler, limits(|_| {})).await;
    for message in ["silent", "long"] {
        wire.send("192.0.2.1:1", message);
    }
    assert_eq!(wire.replies().await.len(), 1);
    assert_eq!(server.stop().await.stats.withheld_replies, 0);
}
