//! Who asks.

use super::*;

#[tokio::test]
async fn a_request_is_answered_and_what_has_no_reply_subject_is_nameless() {
    let world = World::new().await;
    let mut socket = world.bind("").await.unwrap();
    assert_eq!(socket.local().to_string(), "nats:b?path=/upper");
    let mut client = world.connect("").await.unwrap();
    for text in ["", "one", "PUB a 3\r\n"] {
        ask(&mut *client, text.as_bytes()).await.unwrap();
        let [(Some(peer), message)] = &receive(&mut *socket).await[..] else { panic!("not one with a peer") };
        assert!(peer.to_string().starts_with("nats:_INBOX."), "{peer}");
        assert_eq!(message, text.as_bytes());
        reply(&mut *socket, *peer, &message.to_ascii_uppercase()).await.unwrap();
        assert_eq!(answer(&mut *client).await.unwrap(), message.to_ascii_uppercase());
    }
    world.hub.lock().unwrap().publish("upper", None, b"to nobody");
    assert_eq!(receive(&mut *socket).await, [(None, b"to nobody".to_vec())]);
    // An address holds 108 bytes, with the scheme.
    for (len, has_peer) in [(103, true), (104, false)] {
        world.hub.lock().unwrap().publish("upper", Some(&"r".repeat(len)), b"far");
        let [(peer, _)] = receive(&mut *socket).await[..] else { panic!("not one") };
        assert_eq!(peer.is_some(), has_peer, "{len}");
    }
    let news = socket.upkeep().unwrap().news.unwrap();
    assert!(news.contains("a reply subject of 104 bytes") && news.contains("(103)"), "{news}");
    let error = reply(&mut *socket, Addr::named("nats", "a b").unwrap(), b"").await.unwrap_err();
    assert_eq!(error.to_string(), "nats:a b is no reply subject");
}

#[tokio::test]
async fn nobody_and_denials_are_told_at_once_and_the_wire_goes_on() {
    let world = World::new().await;
    let mut client = world.connect("").await.unwrap();
    ask(&mut *client, b"one").await.unwrap();
    let error = answer(&mut *client).await.unwrap_err();
    assert_eq!(error, "receive: nobody answers the subject upper: no server has it at this broker");
    world.broker.hub().denies = Some("upper");
    ask(&mut *client, b"two").await.unwrap();
    let error = answer(&mut *client).await.unwrap_err();
    assert_eq!(error, "receive: the broker says: Permissions Violation for Publish to \"upper\"");
    let error = world.bind("").await.err().unwrap().to_string();
    assert!(error.contains("Permissions Violation for Subscription to \"upper\""), "{error}");
    world.broker.hub().denies = None;
    let mut socket = world.bind("").await.unwrap();
    ask(&mut *client, b"three").await.unwrap();
    assert_eq!(receive(&mut *socket).await.len(), 1);
}

#[tokio::test]
async fn a_message_above_max_payload_is_an_error_of_that_message() {
    let world = World::new().await;
    let (mut socket, mut client) = (world.bind("").await.unwrap(), world.connect("").await.unwrap());
    assert_eq!(client.max_message(), 4096);
    assert!(matches!(ask(&mut *client, &[0; 4097]).await, Err(SendError::TooLarge { len: 4097, max: 4096 })));
    ask(&mut *client, &[1; 4096]).await.unwrap();
    let [(Some(peer), _)] = receive(&mut *socket).await[..] else { panic!("not one") };
    let error = reply(&mut *socket, peer, &[2; 4097]).await.unwrap_err().to_string();
    assert_eq!(error, "a message of 4097 bytes is longer than the broker's max_payload of 4096");
    reply(&mut *socket, peer, &[2; 4096]).await.unwrap();
    assert_eq!(answer(&mut *client).await.unwrap().len(), 4096);
}

#[tokio::test]
async fn a_client_without_its_broker_is_over() {
    let mut world = World::new().await;
    let mut client = world.connect("").await.unwrap();
    ask(&mut *client, b"one").await.unwrap();
    assert!(answer(&mut *client).await.is_err());
    world.broker.stop().await;
    let error = answer(&mut *client).await.unwrap_err();
    assert_eq!(error, "receive: the connection to nats:b is over: the broker closed the connection");
    assert!(ask(&mut *client, b"two").await.is_err());
    let error = world.connect("").await.err().unwrap().to_string();
    assert!(error.contains("no broker there"), "{error}");
}

#[tokio::test]
async fn what_waits_is_bounded_and_what_is_dropped_is_counted() {
    let world = World::new().await;
    let mut socket = world.bind("&pending=64KiB").await.unwrap();
    // The first poll begins to read.
    world.hub.lock().unwrap().publish("upper", None, b"first");
    assert_eq!(receive(&mut *socket).await.len(), 1);
    for _ in 0..100 {
        world.hub.lock().unwrap().publish("upper", None, &[7; 1000]);
    }
    world.hub.lock().unwrap().publish("upper", Some("_INBOX.last"), b"");
    let fits = (64 << 10) / (1000 + 64);
    while socket.drops() != Some(100 - fits) {
        tokio::task::yield_now().await;
    }
    let mut received = 0;
    while received < fits {
        received += u32::try_from(receive(&mut *socket).await.len()).unwrap();
    }
    assert!(received - fits <= 1, "{received}");
    assert_eq!(socket.queue_memory(), (128 << 10) + (64 << 10) + 4096 + (512 << 10));
}
