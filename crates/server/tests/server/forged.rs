//! Datagrams whose senders may be forged: nobody is flooded, and nobody loses a session for it.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use crate::common::forged::Forged;
use crate::common::{limits, until};
use swapwire_core::{
    Handler, HandlerError, HandlerProperties, Reply, Request, SendError, Session, SessionHandler, async_trait,
    handler_fn, handler_fn_async,
};
use swapwire_server::{IntoService, Limits, Running, Server};

const HERE: &str = "forged://192.0.2.200:7";

async fn start<K>(wire: &Forged, handler: impl IntoService<K>, limits: Limits) -> Running {
    let builder = Server::builder().transport(wire.clone()).listen(HERE).handler(handler).limits(limits);
    builder.bind().await.unwrap().start()
}

fn bytes(replies: &[(String, Vec<u8>)]) -> usize {
    replies.iter().map(|(_, reply)| reply.len()).sum()
}

/// Replies as much as it may.
fn greedy() -> impl Handler {
    handler_fn(|_, reply| {
        let limit = reply.limit();
        Ok(reply.send(vec![b'!'; limit])?)
    })
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_three_times_the_request_at_most() {
    let wire = Forged::default();
    let _server = start(&wire, greedy(), Limits::default()).await;
    for (len, most) in [(0, 64), (1, 64), (21, 64), (22, 66), (1000, 3000), (21_000, 63_000)] {
        wire.send("192.0.2.1:7", vec![b'?'; len]);
        assert_eq!(bytes(&wire.replies().await), most, "{len}");
    }
}

/// Replies nothing at all, as often as it may.
struct Empties {
    at_once: bool,
}

impl Handler for Empties {
    async fn handle(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<(), HandlerError> {
        for _ in 0..100_000 {
            let _ = reply.send("");
        }
        Ok(())
    }

    fn properties(&self) -> HandlerProperties {
        HandlerProperties::new().with_ready_at_once(self.at_once)
    }
}

#[tokio::test(start_paused = true)]
async fn empty_replies_are_bounded_as_others_are() {
    for at_once in [true, false] {
        let wire = Forged::default();
        let server = start(&wire, Empties { at_once }, Limits::default()).await;
        for (len, most) in [(0, 64), (30, 90)] {
            wire.send("192.0.2.1:7", vec![b'?'; len]);
            assert_eq!(wire.replies().await.len(), most, "{len}");
        }
        assert_eq!(server.snapshot().withheld_replies, 2 * 100_000 - 64 - 90);
    }
}

/// Sends what it is told to; on `trust` it trusts the peer.
struct Generous;

#[async_trait]
impl SessionHandler for Generous {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        while let Some(message) = session.recv().await? {
            if message == "trust" {
                session.trust_peer();
            }
            for _ in 0..4 {
                session.send(vec![b'!'; 64]).await.or_else(unless_unvalidated)?;
                session.flush().await.or_else(unless_unvalidated)?;
            }
        }
        Ok(())
    }
}

fn unless_unvalidated(error: SendError) -> Result<(), SendError> {
    if matches!(error, SendError::Unvalidated { .. }) { Ok(()) } else { Err(error) }
}

#[tokio::test(start_paused = true)]
async fn a_session_sends_three_times_what_it_was_sent_until_the_peer_is_trusted() {
    let wire = Forged::default();
    let server = start(&wire, Generous, Limits::default()).await;
    for len in [0, 10, 21] {
        wire.send("192.0.2.1:7000", vec![b'?'; len]);
        assert_eq!(bytes(&wire.replies().await), 64, "{len}");
    }
    wire.send("192.0.2.1:7000", vec![b'?'; 64]);
    assert_eq!(bytes(&wire.replies().await), 192);
    assert_eq!(server.snapshot().withheld_replies, 3 * 3 + 1);
    wire.send("192.0.2.1:7000", "trust");
    assert_eq!(bytes(&wire.replies().await), 256);
    // Somebody else has proven nothing by it.
    wire.send("192.0.2.1:7001", "x");
    assert_eq!(bytes(&wire.replies().await), 64);
}

#[tokio::test(start_paused = true)]
async fn our_own_sockets_groups_and_nobody_get_no_answer() {
    for ready in [true, false] {
        let wire = Forged::default();
        let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
        let late = handler_fn_async(|message| async move { Ok(message) });
        let builder = Server::builder().transport(wire.clone()).listen(HERE).listen("forged://192.0.2.201:9");
        let server = match ready {
            true => builder.handler(echo).bind().await.unwrap().start(),
            false => builder.handler(late).bind().await.unwrap().start(),
        };
        let refused =
            ["192.0.2.200:7", "192.0.2.201:9", "224.0.0.251:5353", "255.255.255.255:7", "192.0.2.1:0", "[ff02::1]:7"];
        for peer in refused {
            wire.send(peer, "hello");
        }
        wire.send("192.0.2.200:9", "hello");
        let answered: Vec<_> = wire.replies().await.into_iter().map(|(to, _)| to).collect();
        assert_eq!(answered, ["192.0.2.200:9"]);
        let stats = server.snapshot();
        assert_eq!((stats.dropped_requests, stats.dropped_unanswerable), (refused.len() as u64, refused.len() as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn one_source_gets_its_rate_and_others_do_not_notice() {
    let wire = Forged::default();
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let server = start(&wire, echo, limits(|l| l.source_rate = Some(100))).await;
    let (mut victim, mut other) = (0, 0);
    for round in 0..10 {
        for i in 0..1000 {
            wire.send(&format!("192.0.2.{}:{}", i % 250, i + 1), "hello");
        }
        for i in 0..50 {
            wire.send("198.51.100.1:7", format!("{round} {i}"));
        }
        for (to, _) in wire.replies().await {
            if to.starts_with("192.0.2.") { victim += 1 } else { other += 1 }
        }
        tokio::time::sleep(Duration::from_millis(999)).await;
    }
    assert!((990..=1010).contains(&victim), "{victim}");
    assert_eq!(other, 500);
    assert_eq!(server.snapshot().throttled, 10_000 - victim);
}

/// Answers each message with how many there were.
struct Count;

#[async_trait]
impl SessionHandler for Count {
    async fn run(&self, mut session: Session) -> Result<(), HandlerError> {
        let mut count = 0;
        while session.recv().await?.is_some() {
            count += 1;
            session.send(format!("{count}")).await?;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forged_senders_ends_no_session_that_is_alive() {
    let wire = Forged::default();
    let server = start(&wire, Count, limits(|l| l.max_unvalidated_peers = 100)).await;
    let live: Vec<_> = (0..100).map(|i| format!("198.51.100.{i}:7000")).collect();
    for round in 1..=2 {
        live.iter().for_each(|peer| wire.send(peer, "hello"));
        let replies = wire.replies().await;
        assert!(replies.len() == 100 && replies.iter().all(|(_, reply)| *reply == round.to_string().into_bytes()));
    }
    for i in 0..20_000_u32 {
        let [_, a, b, c] = i.to_be_bytes();
        wire.send(&format!("10.{a}.{b}.{c}:{}", 1000 + i % 1000), "x");
        if i % 500 == 0 {
            let _ = wire.replies().await;
        }
    }
    let _ = wire.replies().await;
    live.iter().for_each(|peer| wire.send(peer, "still there?"));
    let replies = wire.replies().await;
    assert!(replies.len() == 100 && replies.iter().all(|(_, reply)| reply == b"3"), "{replies:?}");
    let stats = server.snapshot();
    assert_eq!((stats.sessions, stats.evicted, stats.dropped_requests), (20_100, 19_900, 0));
    assert!(server.stop().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn one_host_has_its_share_of_sessions() {
    let wire = Forged::default();
    let server = start(&wire, Count, limits(|l| l.max_per_source = Some(3))).await;
    for port in 1..=10 {
        wire.send(&format!("192.0.2.1:{port}"), "x");
    }
    wire.send("192.0.2.2:1", "x");
    assert_eq!(wire.replies().await.len(), 4);
    assert_eq!((server.snapshot().sessions, server.snapshot().dropped_requests), (4, 7));
}

/// Never receives.
struct Deaf;

#[async_trait]
impl SessionHandler for Deaf {
    async fn run(&self, session: Session) -> Result<(), HandlerError> {
        session.draining().await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_sessions_that_do_not_receive_is_bounded() {
    let wire = Forged::default();
    let limits = limits(|l| {
        l.peer_bytes = 1_000_000;
        l.idle_timeout = Some(Duration::from_secs(10));
    });
    let server = start(&wire, Deaf, limits).await;
    for round in 0..100 {
        for i in 0..20 {
            wire.send(&format!("192.0.2.{i}:{}", 1000 + round / 50), vec![0; 936]);
        }
    }
    let _ = wire.replies().await;
    // 1,000 bytes each, of which 62 fit a session's share.
    let stats = server.snapshot();
    assert_eq!((stats.dropped_requests, stats.dropped_queue), (2000 - 1000, 2000 - 1000));
    // They are gone with the sessions that they waited for.
    until(&server, |stats| stats.idle_timeouts == stats.sessions).await;
    wire.send("192.0.2.1:1", vec![0; 60_000]);
    let _ = wire.replies().await;
    assert_eq!(server.snapshot().dropped_requests, 2000 - 1000);
}

#[tokio::test(start_paused = true)]
async fn what_the_system_dropped_is_counted() {
    let wire = Forged::default();
    let server = start(&wire, Count, Limits::default()).await;
    wire.drop_so_many(u32::MAX - 4);
    let flood = || (0..64 * 16).for_each(|i| wire.send(&format!("192.0.2.1:{}", 1000 + i), "x"));
    flood();
    let _ = wire.replies().await;
    assert_eq!(server.snapshot().overflows, u64::from(u32::MAX - 4));
    wire.drop_so_many(5);
    let report = server.stop().await;
    assert_eq!(report.stats.overflows, u64::from(u32::MAX) + 6);
}
