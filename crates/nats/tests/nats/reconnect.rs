//! Brokers that go and come.

use std::time::Duration;

use super::*;

/// Looks after the socket until it can be reached and the news have this in them; the news, and what was counted.
async fn until(socket: &mut dyn DatagramSocket, told: &str) -> (String, u64, u64) {
    let (mut news, mut reconnects, mut lost) = (String::new(), 0, 0);
    loop {
        let found = socket.upkeep().unwrap();
        news.extend(found.news);
        (reconnects, lost) = (reconnects + found.reconnects, lost + found.lost);
        if found.reachable && news.contains(told) {
            return (news, reconnects, lost);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_unreachable(socket: &mut dyn DatagramSocket) -> String {
    loop {
        let found = socket.upkeep().unwrap();
        if !found.reachable {
            return found.news.unwrap_or_default();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_comes_back_with_its_broker_and_replies_are_sent_then() {
    let mut world = World::new().await;
    let mut socket = world.bind("&queue=g").await.unwrap();
    assert_eq!(until(&mut *socket, "").await, (String::new(), 0, 0));
    world.broker.stop().await;
    let news = until_unreachable(&mut *socket).await;
    assert!(news.starts_with("the connection to nats:b is over: the broker closed the connection"), "{news}");
    reply(&mut *socket, Addr::named("nats", "_INBOX.y").unwrap(), b"one").await.unwrap();
    let broker = Broker::start(&world.network, "b", &world.hub).await;
    let (news, reconnects, lost) = until(&mut *socket, "connected to").await;
    assert!(news.ends_with("connected to nats:b"), "{news}");
    assert_eq!((reconnects, lost), (1, 0));
    broker.hears("SUB upper g 1", 2).await;
    broker.hears("PUB _INBOX.y 3", 1).await;
}

#[tokio::test(start_paused = true)]
async fn replies_that_wait_too_long_for_a_broker_are_lost_and_counted() {
    let mut world = World::new().await;
    let mut socket = world.bind("").await.unwrap();
    until(&mut *socket, "").await;
    world.broker.stop().await;
    until_unreachable(&mut *socket).await;
    let to = Addr::named("nats", "_INBOX.y").unwrap();
    for _ in 0..3 {
        reply(&mut *socket, to, b"one").await.unwrap();
    }
    // So many that who sends has to wait, which ends with what waited.
    for _ in 0..100 {
        reply(&mut *socket, to, &[0; 4000]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let _broker = Broker::start(&world.network, "b", &world.hub).await;
    let (_, reconnects, lost) = until(&mut *socket, "").await;
    assert_eq!((reconnects, lost), (1, 103));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_answers_no_ping_is_given_up() {
    let world = World::new().await;
    let mut socket = world.bind("&ping=1s").await.unwrap();
    until(&mut *socket, "").await;
    let begun = tokio::time::Instant::now();
    world.broker.hub().answers_pings = false;
    let news = until_unreachable(&mut *socket).await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert!(news.contains("2 pings in 2s were not answered"), "{news}");
    world.broker.hub().answers_pings = true;
    until(&mut *socket, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_says_rubbish_is_left_and_its_words_are_told() {
    let world = World::new().await;
    let mut socket = world.bind("").await.unwrap();
    for (said, told) in [
        ("rubbish\r\n", "the broker said what is no message: \"rubbish\""),
        ("MSG upper 9 1\r\nx\r\n", "a subscription that there is not: 9"),
        ("INFO {\r\n", "INFO is wrong"),
        ("-ERR 'Slow Consumer'\r\nx\r\n", "what is no message"),
    ] {
        world.broker.say(said);
        let (news, reconnects, lost) = until(&mut *socket, "connected to").await;
        assert!(news.contains(told), "{said:?}: {news}");
        assert_eq!((reconnects, lost), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_waits_for_a_broker_if_it_is_told_to() {
    let mut world = World::new().await;
    world.broker.stop().await;
    let world = World { broker: Broker::start(&world.network, "other", &world.hub).await, ..world };
    let error = world.bind("").await.err().unwrap().to_string();
    assert!(error.contains("no broker there") && error.contains("wait=true"), "{error}");
    let mut socket = world.bind("&wait=true").await.unwrap();
    let news = until_unreachable(&mut *socket).await;
    assert!(news.starts_with("waiting for a broker: b: no broker there"), "{news}");
    let _broker = Broker::start(&world.network, "b", &world.hub).await;
    until(&mut *socket, "").await;
    world.hub.lock().unwrap().publish("upper", None, b"now");
    assert_eq!(receive(&mut *socket).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lame_duck_is_left_for_another_broker_and_nothing_is_lost_or_doubled() {
    for queue in ["&queue=g", ""] {
        let (network, hub) = (MemNetwork::new(), hub());
        let [broker, other] = [Broker::start(&network, "b", &hub).await, Broker::start(&network, "c", &hub).await];
        let mut world = World { network, hub: std::sync::Arc::clone(&hub), broker };
        let mut socket = world.bind(&format!("{queue}&servers=c")).await.unwrap();
        until(&mut *socket, "").await;
        world.broker.hold(true);
        for number in 0..10 {
            hub.lock().unwrap().publish("upper", Some("_INBOX.x"), &[number]);
        }
        world.broker.hold(false);
        world.broker.say("INFO {\"ldm\":true,\"max_payload\":4096}\r\n");
        let (news, reconnects, lost) = until(&mut *socket, "connected to nats:c").await;
        assert!(news.contains("nats:b is about to shut down (lame duck mode)"), "{news}");
        assert_eq!((reconnects, lost), (1, 0));
        other.hears("UNSUB 1", 1).await;
        for number in 10..20 {
            hub.lock().unwrap().publish("upper", Some("_INBOX.x"), &[number]);
        }
        let mut given = Vec::new();
        while given.len() < 20 {
            let messages = receive(&mut *socket).await;
            for (peer, message) in messages {
                reply(&mut *socket, peer.unwrap(), &message).await.unwrap();
                given.push(message[0]);
            }
        }
        assert_eq!(given, (0..20).collect::<Vec<_>>(), "{queue}");
        other.hears("PUB _INBOX.x 1", 20).await;
        world.broker.stop().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(socket.upkeep().unwrap().reachable);
    }
}

/// A worker has a runtime of its own, and its own connection on it.
#[tokio::test]
async fn a_socket_that_is_served_on_another_runtime_moves_there_and_nothing_is_lost() {
    let world = World::new().await;
    let mut socket = world.bind("&queue=g").await.unwrap();
    let worker = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut given = Vec::new();
            while given.last() != Some(&99) {
                given.extend(receive(&mut *socket).await.into_iter().map(|(_, message)| message[0]));
            }
            let found = socket.upkeep().unwrap();
            (given, found.reachable, found.news, found.reconnects)
        })
    });
    for number in 0..50 {
        world.hub.lock().unwrap().publish("upper", None, &[number]);
    }
    world.broker.hears("UNSUB 1", 1).await;
    world.broker.hears("SUB upper g 1", 2).await;
    for number in 50..100 {
        world.hub.lock().unwrap().publish("upper", None, &[number]);
    }
    assert_eq!(worker.await.unwrap(), ((0..100).collect(), true, None, 0));
}

#[tokio::test]
async fn a_socket_that_cannot_move_is_served_where_it_is() {
    let world = World::new().await;
    let mut socket = world.bind("&queue=g").await.unwrap();
    world.broker.hub().denies = Some("upper");
    let worker = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { receive(&mut *socket).await })
    });
    // Tried again and again, for longer than a broker that shuts down is waited for.
    world.broker.hears("SUB upper g 1", 6).await;
    assert!(!world.broker.hub().heard.iter().any(|line| line == "UNSUB 1"));
    world.hub.lock().unwrap().publish("upper", None, b"here");
    assert_eq!(worker.await.unwrap(), [(None, b"here".to_vec())]);
}
