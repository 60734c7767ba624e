//! Handshakes that stall keep nobody out.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use crate::common::log::Log;
use crate::common::shaking::Shaking;
use crate::common::{ask, limits, until};
use swapwire_core::{ByteStream, Framing, Session, SessionConfig, handler_fn};
use swapwire_server::{Limits, Running, Server, ServerBuilder, WhenFull};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

fn builder(wire: &Shaking, limits: Limits) -> ServerBuilder {
    let echo = handler_fn(|request, reply| Ok(reply.send(request.message())?));
    Server::builder().transport(wire.clone()).handler(echo).framing(Framing::Lines).limits(limits)
}

async fn start(wire: &Shaking, limits: Limits) -> Running {
    builder(wire, limits).listen("mem:a").listen("mem-seq:plain").bind().await.unwrap().start()
}

/// Whether it is served, once it has said all that the handshake needs.
async fn is_served(client: &mut Box<dyn ByteStream>) -> bool {
    let mut reply = [0; 2];
    client.write_all(b"x\n").await.is_ok() && client.read_exact(&mut reply).await.is_ok() && reply == *b"x\n"
}

/// What it hears before the end.
async fn last_words(mut client: Box<dyn ByteStream>) -> String {
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    said
}

/// A client that the server waits for, and that has then said so much.
async fn known(wire: &Shaking, server: &Running, says: &str) -> Box<dyn ByteStream> {
    let sessions = server.snapshot().sessions;
    let mut client = wire.client("mem:a", "").await;
    until(server, |stats| stats.sessions > sessions).await;
    // A paused clock goes on when nothing is left to do.
    sleep(Duration::from_millis(1)).await;
    client.write_all(says.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    client
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_the_oldest_that_has_said_nothing_makes_room() {
    let wire = Shaking::new();
    let server = start(&wire, limits(|l| l.max_handshakes = 2)).await;
    let begun = Instant::now();
    let (first, second) = (known(&wire, &server, "").await, known(&wire, &server, "").await);
    let mut third = known(&wire, &server, "op").await;
    assert_eq!(last_words(first).await, "");
    let stats = server.snapshot();
    assert_eq!((stats.handshakes_evicted, stats.handshakes_failed, stats.refused), (1, 1, 0));
    // The third one is heard, and newer than the second one.
    let fourth = known(&wire, &server, "").await;
    assert_eq!(last_words(second).await, "");
    let mut fifth = known(&wire, &server, "open").await;
    assert_eq!(last_words(fourth).await, "");
    third.write_all(b"en").await.unwrap();
    assert!(is_served(&mut third).await && is_served(&mut fifth).await);
    assert_eq!(server.snapshot().handshakes_evicted, 3);
    assert!(begun.elapsed() < Duration::from_secs(1), "no deadline was waited for: {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_says_a_little_and_stops_keeps_nobody_out() {
    let wire = Shaking::new();
    let server = start(&wire, limits(|l| l.max_handshakes = 64)).await;
    let mut stalled = Vec::new();
    for _ in 0..64 {
        stalled.push(known(&wire, &server, "ope").await);
    }
    // They come at once, as many as a quarter of the room.
    let mut good = Vec::new();
    for _ in 0..16 {
        good.push(wire.client("mem:a", "").await);
    }
    until(&server, |stats| stats.sessions == 80).await;
    for client in &mut good {
        client.write_all(b"open").await.unwrap();
        assert!(is_served(client).await);
    }
    let stats = server.snapshot();
    assert_eq!((stats.handshakes_evicted, stats.handshakes_failed), (16, 16));
}

/// Lets others run, for a while that is short for them.
async fn let_others_run() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// Of whom some are always coming, so that a paused clock stands still.
#[tokio::test(start_paused = true)]
async fn as_many_as_are_allowed_and_come_again_at_once_keep_nobody_out() {
    for says in ["", "op"] {
        let wire = Shaking::new();
        let server = start(&wire, limits(|l| l.max_connections = 10_000)).await;
        let attack = |wire: Shaking| async move {
            loop {
                let mut client = wire.client("mem:a", "").await;
                let_others_run().await;
                let _ = client.write_all(says.as_bytes()).await;
                let _ = client.read_u8().await;
            }
        };
        let attackers: Vec<_> = (0..2100).map(|_| tokio::spawn(attack(wire.clone()))).collect();
        while server.snapshot().handshakes_evicted < 2100 {
            tokio::task::yield_now().await;
        }
        let mut connected = wire.client("mem:a", "open").await;
        for round in 0..100 {
            let mut new = wire.client("mem:a", "").await;
            for part in ["o", "pe", "n"] {
                let_others_run().await;
                new.write_all(part.as_bytes()).await.unwrap();
            }
            assert!(is_served(&mut new).await && is_served(&mut connected).await, "{says:?}, {round}");
        }
        let stats = server.snapshot();
        assert_eq!(stats.handshakes_failed, stats.handshakes_evicted, "{says:?}");
        attackers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_logged_once_a_second() {
    let (log, _heard) = Log::hear();
    let wire = Shaking::new();
    let server = start(&wire, limits(|l| l.max_handshakes = 1)).await;
    let mut stalled = Vec::new();
    for _ in 0..100 {
        stalled.push(wire.client("mem:a", "").await);
    }
    until(&server, |stats| stats.handshakes_evicted == 99).await;
    let line = log.line();
    let told = ["handshake ended to make room for another; max_handshakes is the limit", " endpoint=mem:a peer=mem:"];
    assert!(told.iter().all(|told| line.contains(told)), "{line}");
    sleep(Duration::from_secs(1)).await;
    stalled.push(wire.client("mem:a", "").await);
    until(&server, |stats| stats.handshakes_evicted == 100).await;
    assert!(log.line().ends_with(" suppressed=98"));
    drop(stalled);
    let report = server.stop().await;
    assert!(report.to_string().contains("100 handshakes made room for others"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_wire_without_a_handshake_needs_no_room_for_one() {
    let wire = Shaking::new();
    let server = start(&wire, limits(|l| l.max_handshakes = 1)).await;
    let mut stalled = known(&wire, &server, "").await;
    for _ in 0..10 {
        let link = wire.below("mem-seq:plain").await;
        let mut plain = Session::new(link, SessionConfig::framed(Framing::Lines));
        assert_eq!(ask(&mut plain, "x").await, "x");
    }
    stalled.write_all(b"open").await.unwrap();
    assert!(is_served(&mut stalled).await);
    assert_eq!(server.snapshot().handshakes_evicted, 0);
}

/// Each way to end a handshake, with room for one: whoever comes next is the only one.
#[tokio::test(start_paused = true)]
async fn however_a_handshake_ends_its_room_is_free() {
    let wire = Shaking::new();
    let server = start(&wire, limits(|l| l.max_handshakes = 1)).await;
    let mut served = known(&wire, &server, "open").await;
    assert!(is_served(&mut served).await);
    let (wrong, gone) = (known(&wire, &server, "oh").await, known(&wire, &server, "").await);
    assert_eq!(last_words(wrong).await, "");
    drop(gone);
    until(&server, |stats| stats.handshakes_failed == 2).await;
    let late = known(&wire, &server, "op").await;
    assert_eq!(last_words(late).await, "");
    let mut last = known(&wire, &server, "open").await;
    assert!(is_served(&mut last).await && is_served(&mut served).await);
    let stats = server.snapshot();
    assert_eq!((stats.handshakes_failed, stats.handshakes_evicted), (3, 0));
    let one = known(&wire, &server, "").await;
    let mut two = known(&wire, &server, "").await;
    assert_eq!(last_words(one).await, "");
    two.write_all(b"open").await.unwrap();
    assert!(is_served(&mut two).await);
    assert_eq!(server.snapshot().handshakes_evicted, 1);
}

#[tokio::test(start_paused = true)]
async fn fragments_do_not_put_the_deadline_off() {
    let wire = Shaking::new();
    let server = start(&wire, limits(|l| l.handshake_timeout = Some(Duration::from_secs(3)))).await;
    let begun = Instant::now();
    let mut slow = wire.client("mem:a", "").await;
    for byte in ["o", "p", "e", "n"] {
        sleep(Duration::from_millis(900)).await;
        let _ = slow.write_all(byte.as_bytes()).await;
    }
    assert_eq!(last_words(slow).await, "");
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(server.snapshot().handshakes_failed, 1);
}

/// They hold at most half of the room, whatever their own limit is.
#[tokio::test(start_paused = true)]
async fn stalled_handshakes_do_not_fill_the_server() {
    for when_full in [WhenFull::Wait, WhenFull::refuse("full")] {
        let wire = Shaking::new();
        let server = start(&wire, limits(|l| (l.max_connections, l.when_full) = (4, when_full.clone()))).await;
        let begun = Instant::now();
        let mut stalled = Vec::new();
        for _ in 0..20 {
            stalled.push(known(&wire, &server, "").await);
        }
        let link = wire.below("mem-seq:plain").await;
        let mut plain = Session::new(link, SessionConfig::framed(Framing::Lines));
        assert_eq!(ask(&mut plain, "x").await, "x");
        let mut new = known(&wire, &server, "open").await;
        assert!(is_served(&mut new).await);
        let stats = server.snapshot();
        assert_eq!((stats.handshakes_evicted, stats.refused), (19, 0), "{when_full:?}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_gives_a_handshake_its_grace_and_no_more() {
    let wire = Shaking::new();
    let server = start(&wire, limits(|l| l.drain_grace = Duration::from_millis(500))).await;
    let (stalled, mut begun) = (known(&wire, &server, "").await, known(&wire, &server, "op").await);
    let client = async move {
        sleep(Duration::from_millis(100)).await;
        begun.write_all(b"en").await.unwrap();
        is_served(&mut begun).await
    };
    let (report, served) = tokio::join!(server.stop(), client);
    assert!(served && report.cut == 0, "{report}");
    assert!(report.drain < Duration::from_secs(1), "{report}");
    assert_eq!((report.stats.handshakes_failed, last_words(stalled).await), (1, String::new()));
}

/// Their bound is one. Their clocks are real.
#[tokio::test]
async fn workers_share_the_room_for_handshakes() {
    let wire = Shaking::new();
    let builder = builder(&wire, limits(|l| l.max_handshakes = 2)).workers(2).listen("mem:a").listen("mem:b");
    let server = builder.bind().await.unwrap().start();
    let mut stalled = Vec::new();
    for sessions in 1..=2 {
        stalled.push(wire.client("mem:a", "").await);
        until(&server, |stats| stats.sessions == sessions).await;
    }
    let mut other = wire.client("mem:b", "").await;
    // One of the two, as nothing says which of them came to its first wait last.
    until(&server, |stats| stats.handshakes_evicted == 1).await;
    other.write_all(b"open").await.unwrap();
    assert!(is_served(&mut other).await);
    let sessions: Vec<_> = server.worker_snapshots().iter().map(|worker| worker.sessions).collect();
    let evicted: Vec<_> = server.worker_snapshots().iter().map(|worker| worker.handshakes_evicted).collect();
    assert_eq!((sessions, evicted), (vec![2, 1], vec![1, 0]));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_the_handshake_tells_has_its_share() {
    let wire = Shaking::renaming();
    let server =
        start(&wire, limits(|l| (l.max_per_source, l.when_full) = (Some(1), WhenFull::refuse("enough")))).await;
    let mut first = wire.client("mem:a", "open192.0.2.1:1\n").await;
    assert!(is_served(&mut first).await);
    let mut neighbour = wire.client("mem:a", "open192.0.2.2:1\n").await;
    assert!(is_served(&mut neighbour).await);
    let (log, _heard) = Log::hear();
    for again in ["open192.0.2.1:2\n", "open[::ffff:192.0.2.1]:3\n"] {
        assert_eq!(last_words(wire.client("mem:a", again).await).await, "enough\n");
    }
    let line = log.line();
    assert!(line.starts_with("connection refused: its source has") && line.contains("peer=192.0.2.1:2"), "{line}");
    let stats = server.snapshot();
    assert_eq!((stats.refused, stats.refused_source, stats.handshakes_done), (2, 2, 4));
    drop(first);
    until(&server, |stats| stats.done == 1).await;
    let mut again = wire.client("mem:a", "open192.0.2.1:4\n").await;
    assert!(is_served(&mut again).await);
}
