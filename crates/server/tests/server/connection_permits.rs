//! Who is let in: the room for all, for each source, and for those who are not established yet.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use crate::common::inet::Inet;
use crate::common::{ask, limits, until};
use swapwire_core::{Framing, Registry, Session, SessionConfig, handler_fn};
use swapwire_server::{Limits, Running, Server, WhenFull};
use tokio::time::Instant;

async fn start(inet: &Inet, limits: Limits) -> Running {
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    let registry = Registry::new().with(inet.clone());
    let builder = Server::builder().registry(registry).listen("mem:a").handler(echo).framing(Framing::Lines);
    builder.limits(limits).bind().await.unwrap().start()
}

/// A client that seems to come from `peer`.
async fn connect(inet: &Inet, peer: &str) -> Session {
    inet.next_from(peer);
    let link = inet.inner.connect(&"mem:a".parse().unwrap()).await.unwrap();
    Session::new(link, SessionConfig::framed(Framing::Lines))
}

/// What a client that was refused hears before the end.
async fn last_words(mut session: Session) -> Option<String> {
    let mut said = None;
    while let Ok(Some(message)) = session.recv().await {
        said = Some(String::from_utf8(message.to_vec()).unwrap());
    }
    said
}

#[tokio::test(start_paused = true)]
async fn who_is_too_much_is_told_and_those_inside_do_not_notice() {
    let inet = Inet::new();
    let server = start(
        &inet,
        limits(|l| {
            l.max_connections = 3;
            l.when_full = WhenFull::Refuse("full".into());
        }),
    )
    .await;
    let mut inside = Vec::new();
    for i in 0..3 {
        let mut session = connect(&inet, &format!("192.0.2.{i}:1")).await;
        assert_eq!(ask(&mut session, "x").await, "x");
        inside.push(session);
    }
    for i in 0..1000 {
        let refused = connect(&inet, &format!("192.0.2.9:{}", i + 1)).await;
        assert_eq!(last_words(refused).await.as_deref(), Some("full"));
    }
    for session in &mut inside {
        assert_eq!(ask(session, "y").await, "y");
    }
    let stats = server.snapshot();
    assert_eq!((stats.sessions, stats.refused, stats.refused_full, stats.refused_source), (3, 1000, 1000, 0));
    inside.pop();
    until(&server, |stats| stats.done == 1).await;
    let mut next = connect(&inet, "192.0.2.7:1").await;
    assert_eq!(ask(&mut next, "x").await, "x");
    let report = server.stop().await;
    assert!(report.is_clean() && report.to_string().contains("1000 connections were refused"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn one_source_cannot_take_all_the_room() {
    let inet = Inet::new();
    let server = start(&inet, limits(|l| l.max_per_source = Some(1))).await;
    // The same host, by IPv4 and by IPv4 mapped into IPv6.
    let mut first = connect(&inet, "192.0.2.1:1").await;
    assert_eq!(ask(&mut first, "x").await, "x");
    for again in ["192.0.2.1:2", "[::ffff:192.0.2.1]:3"] {
        assert_eq!(last_words(connect(&inet, again).await).await, None, "{again}");
    }
    let mut six = connect(&inet, "[2001:db8::1]:1").await;
    assert_eq!(ask(&mut six, "x").await, "x");
    // Its neighbour in the same /64.
    assert_eq!(last_words(connect(&inet, "[2001:db8::2]:1").await).await, None);
    for other in ["192.0.2.2:1", "[2001:db8:0:1::1]:1"] {
        let mut other = connect(&inet, other).await;
        assert_eq!(ask(&mut other, "x").await, "x");
    }
    let stats = server.snapshot();
    assert_eq!((stats.refused, stats.refused_full, stats.refused_source), (3, 0, 3));
    drop(first);
    until(&server, |stats| stats.done == 3).await;
    let mut again = connect(&inet, "[::ffff:192.0.2.1]:4").await;
    assert_eq!(ask(&mut again, "x").await, "x");
}

#[tokio::test(start_paused = true)]
async fn handshakes_have_room_of_their_own_and_a_deadline() {
    let inet = Inet::new();
    let server = start(
        &inet,
        limits(|l| {
            l.max_handshakes = 2;
            l.when_full = WhenFull::Refuse("later".into());
        }),
    )
    .await;
    let mut early = connect(&inet, "192.0.2.1:1").await;
    assert_eq!(ask(&mut early, "x").await, "x");
    *inet.stalls.lock().unwrap() = 2;
    let begun = Instant::now();
    let (one, two) = (connect(&inet, "192.0.2.1:2").await, connect(&inet, "192.0.2.1:3").await);
    // Without a handshake to wait for, it needs no such permit.
    let mut third = connect(&inet, "192.0.2.1:4").await;
    assert_eq!(ask(&mut third, "x").await, "x");
    assert_eq!(ask(&mut early, "x").await, "x");
    assert_eq!((last_words(one).await, last_words(two).await), (None, None));
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?}");
    assert_eq!(server.snapshot().handshakes_failed, 2);
    let mut late = connect(&inet, "192.0.2.1:5").await;
    assert_eq!(ask(&mut late, "x").await, "x");
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_the_oldest_handshake_that_has_not_begun_makes_room() {
    let inet = Inet::new();
    let server = start(&inet, limits(|l| l.max_handshakes = 1)).await;
    *inet.stalls.lock().unwrap() = 2;
    let stalled = connect(&inet, "192.0.2.1:1").await;
    let begun = Instant::now();
    let newer = connect(&inet, "192.0.2.2:1").await;
    assert_eq!(last_words(stalled).await, None);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    let stats = server.snapshot();
    assert_eq!((stats.refused, stats.handshakes_failed, stats.handshakes_evicted), (0, 1, 1));
    assert_eq!(last_words(newer).await, None);
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(server.snapshot().handshakes_evicted, 1);
}
