use swapwire_core::{Handler, HandlerExt as _, SessionConfig, SessionHandler, testing};

use super::*;
use crate::testing::Both;

const SECOND: Duration = Duration::from_secs(1);

fn inet(text: &str) -> Peer {
    Peer::new(Addr::inet(text.parse().unwrap()))
}

/// What is replied to a message of `peer`.
async fn ask(handler: &impl Handler, peer: &Peer) -> Vec<Vec<u8>> {
    let (mut reply, local) = (Reply::new(1024), Addr::named("test", "local").unwrap());
    handler.handle(Request::new(b"x", Some(peer), &local), &mut reply).await.unwrap();
    reply.messages().map(<[u8]>::to_vec).collect()
}

#[tokio::test(start_paused = true)]
async fn each_peer_has_a_rate_of_its_own_and_is_answered_above_it() {
    let layer = PeerRateLayer::new(2, SECOND).answer("slow down");
    let handler = Both::default().with_layer(layer.clone());
    let (one, other) = (inet("192.0.2.1:1"), inet("192.0.2.2:1"));
    for round in 1..=3 {
        for peer in [&one, &other] {
            assert_eq!(ask(&handler, peer).await, [b"x"]);
            assert_eq!(ask(&handler, peer).await, [b"x"]);
            assert_eq!(ask(&handler, peer).await, [b"slow down"]);
        }
        assert_eq!(layer.refused(), 2 * round);
        tokio::time::advance(SECOND).await;
    }
    tokio::time::advance(SECOND / 2).await;
    assert_eq!((ask(&handler, &one).await.len(), ask(&handler, &one).await.len()), (1, 1));
    assert_eq!(ask(&handler, &one).await, [b"slow down"]);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_rate_and_one_burst_pass() {
    let layer = PeerRateLayer::new(7, SECOND).burst(3);
    let handler = Both::default().with_layer(layer.clone());
    let (peer, mut passed) = (inet("192.0.2.1:1"), 0);
    for _ in 0..10_000 {
        passed += ask(&handler, &peer).await.len();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!((passed, layer.refused()), (7 * 10 + 3 - 1, 10_000 - 72));
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_an_address_or_a_session() {
    let handler = Both::default().with_layer(PeerRateLayer::new(1, SECOND));
    for (first, second, same) in [
        ("192.0.2.1:1", "192.0.2.1:2", true),
        ("192.0.2.1:1", "192.0.2.2:1", false),
        ("[2001:db8::1]:1", "[2001:db8::2]:1", true),
        ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false),
        ("192.0.2.9:1", "[::ffff:192.0.2.9]:1", true),
    ] {
        assert_eq!(ask(&handler, &inet(first)).await.len(), 1, "{first}");
        assert_eq!(ask(&handler, &inet(second)).await.len(), usize::from(!same), "{first} {second}");
        tokio::time::advance(SECOND).await;
    }
    let unnamed = Peer::new(Addr::Unix(swapwire_core::UnixAddr::UNNAMED));
    let [mut one, mut other] = [unnamed.clone(), unnamed];
    one.begin_session();
    other.begin_session();
    assert_eq!((ask(&handler, &one).await.len(), ask(&handler, &other).await.len()), (1, 1));
    assert_eq!((ask(&handler, &one).await.len(), ask(&handler, &other).await.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_answered_in_its_order_and_goes_on() {
    let layer = PeerRateLayer::new(2, SECOND).answer("slow down");
    let handler = Both::default().with_layer(layer.clone());
    let heard = testing::conversation(&handler, ["a", "b", "c", "d"]).await.unwrap();
    assert_eq!(heard, ["a", "b", "slow down", "slow down"]);
    assert_eq!(layer.refused(), 2);

    let (session, mut peer) = testing::session(SessionConfig::default());
    let run = tokio::spawn(async move { handler.run(session).await });
    for expected in ["a", "b", "slow down"] {
        peer.send(expected.get(..1).unwrap()).await.unwrap();
        assert_eq!(peer.recv().await.unwrap().unwrap(), expected);
    }
    tokio::time::sleep(SECOND / 2).await;
    peer.send("e").await.unwrap();
    assert_eq!(peer.recv().await.unwrap().unwrap(), "e");
    drop(peer);
    run.await.unwrap().unwrap();
}

/// Who never reads fills the queue, and gets no more answers than fit.
#[tokio::test(start_paused = true)]
async fn answers_are_bounded_as_the_queue_is() {
    let layer = PeerRateLayer::new(1, SECOND).answer([b'!'; 64]);
    let handler = Both::default().with_layer(layer.clone());
    let mut config = SessionConfig::default();
    config.out_queue = 1024;
    let (session, peer) = testing::session(config);
    let guard = session.guard();
    let (_reader, mut writer) = peer.split();
    let run = tokio::spawn(async move { handler.run(session).await });
    for _ in 0..1000 {
        writer.send("x").await.unwrap();
        writer.flush().await.unwrap();
    }
    writer.shutdown().await.unwrap();
    let _ = run.await.unwrap();
    assert_eq!(layer.refused(), 999);
    assert!(guard.progress().unsent <= 1024 + 64 + 64, "{:?}", guard.progress());
}

#[tokio::test(start_paused = true)]
async fn the_table_is_bounded_and_knows_who_sent_last() {
    let handler = Both::default().with_layer(PeerRateLayer::new(1, SECOND * 3600).max_peers(100));
    let mut passed = Vec::new();
    for round in 0..3 {
        for i in 0..50 {
            passed.push(ask(&handler, &inet(&format!("192.0.2.{i}:1"))).await.len());
        }
        assert_eq!(passed.iter().sum::<usize>(), 50, "round {round}");
    }
    // A flood of others, after which the first are not known any more.
    let mut buckets = Buckets::new(100);
    for i in 0..10_000_u32 {
        buckets.of(Key::Ip(IpAddr::V4(i.into())), Instant::now());
        assert!(buckets.young.len() + buckets.old.len() <= 100);
        let known =
            |i: u32| [&buckets.young, &buckets.old].iter().any(|map| map.contains_key(&Key::Ip(IpAddr::V4(i.into()))));
        assert!(known(i.saturating_sub(49)));
    }
    assert!(buckets.young.capacity() + buckets.old.capacity() < 400);
}
