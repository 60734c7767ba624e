//! The end of a member.

use std::task::Poll;

use futures::FutureExt as _;
use swapwire_core::Arrivals;

use super::*;

#[tokio::test]
async fn what_came_before_the_fence_is_given_and_then_the_end() {
    for denied in [false, true] {
        let world = World::new().await;
        let mut socket = world.bind("&queue=g").await.unwrap();
        world.broker.hold(true);
        for number in 0..100_u8 {
            world.hub.lock().unwrap().publish("upper", Some("_INBOX.x"), &[number]);
        }
        if denied {
            // The ping behind it is the fence, where the message is not allowed.
            let own = world.broker.hub().heard.iter().find(|line| line.starts_with("SUB _INBOX")).cloned().unwrap();
            let own = own.split(' ').nth(1).unwrap().to_owned();
            world.broker.hub().denies = Some(own.leak());
        }
        assert_eq!(socket.refuse_arrivals(), Arrivals::Fenced);
        world.broker.hears("UNSUB 1", 1).await;
        world.hub.lock().unwrap().publish("upper", Some("_INBOX.x"), b"too late");
        let mut batch = RecvBatch::new(8, 100);
        assert!(poll_fn(|cx| socket.poll_recv(cx, &mut batch)).now_or_never().is_none());
        world.broker.hold(false);
        let mut given = Vec::new();
        loop {
            let messages = receive(&mut *socket).await;
            if messages.is_empty() {
                break;
            }
            given.extend(messages.into_iter().map(|(_, message)| message[0]));
        }
        assert_eq!(given, (0..100).collect::<Vec<_>>(), "denied: {denied}");
        assert!(receive(&mut *socket).await.is_empty());
        assert_eq!(socket.refuse_arrivals(), Arrivals::Fenced);
    }
}

#[tokio::test]
async fn a_flush_waits_for_the_broker() {
    let world = World::new().await;
    let mut socket = world.bind("").await.unwrap();
    reply(&mut *socket, Addr::named("nats", "_INBOX.y").unwrap(), b"one").await.unwrap();
    world.broker.hears("PUB _INBOX.y 3", 1).await;
    world.broker.hold(true);
    reply(&mut *socket, Addr::named("nats", "_INBOX.y").unwrap(), b"two").await.unwrap();
    let before = world.broker.hub().heard.len();
    assert!(poll_fn(|cx| socket.poll_flush(cx)).now_or_never().is_none());
    world.broker.hears_lines(before + 2).await;
    let heard = world.broker.hub().heard.clone();
    assert_eq!(heard[heard.len() - 2..], ["PUB _INBOX.y 3", "PING"]);
    assert!(poll_fn(|cx| socket.poll_flush(cx)).now_or_never().is_none());
    world.broker.hold(false);
    poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
    assert!(poll_fn(|cx| Poll::Ready(socket.poll_flush(cx))).await.is_ready());
}

#[tokio::test]
async fn a_drain_without_its_broker_ends() {
    let mut world = World::new().await;
    let mut socket = world.bind("").await.unwrap();
    world.broker.hold(true);
    socket.refuse_arrivals();
    world.broker.hears("UNSUB 1", 1).await;
    world.broker.stop().await;
    assert!(receive(&mut *socket).await.is_empty());
    assert!(poll_fn(|cx| socket.poll_flush(cx)).await.is_err());
    let error = reply(&mut *socket, Addr::named("nats", "_INBOX.y").unwrap(), b"one").await.unwrap_err();
    assert_eq!(error.to_string(), "the connection to the broker broke");
}
