//! The connected socket, with both engines where they promise the same.

use super::*;
use crate::link::Connected;

async fn link<E: Engine>(to: &Endpoint) -> Connected<E> {
    let (socket, options) = connect(to).await;
    Connected::new(socket, &options).unwrap()
}

async fn recv_batch(link: &mut impl MessageStream, batch: &mut RecvBatch) -> Result<Option<usize>, RecvError> {
    batch.clear();
    poll_fn(|cx| link.poll_recv_batch(cx, batch)).await
}

async fn send_batch(link: &mut impl MessageStream, batch: &SendBatch, from: usize) -> Result<usize, SendError> {
    poll_fn(|cx| link.poll_send_batch(cx, batch, from)).await
}

fn to_send(messages: &[&[u8]]) -> SendBatch {
    let mut batch = SendBatch::new();
    messages.iter().for_each(|message| batch.push(message, Addr::named("mem", "ignored").unwrap(), None));
    batch
}

/// A peer without tokio: what it sends to the link has arrived when it returns.
async fn peer_and_link<E: Engine>() -> (std::net::UdpSocket, Connected<E>) {
    let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let link = link(&endpoint(&format!("udp://{}", peer.local_addr().unwrap()))).await;
    peer.connect(link.wire.socket.local_addr().unwrap()).unwrap();
    (peer, link)
}

async fn received_in_order<E: Engine>() {
    let (peer, mut link) = peer_and_link::<E>().await;
    let text = |i: usize| i.to_string().into_bytes();
    let mut batch = RecvBatch::new(100, 8);
    (0..150).for_each(|i| assert!(peer.send(&text(i)).is_ok()));
    let mut due = 0;
    while due < 150 {
        let count = recv_batch(&mut link, &mut batch).await.unwrap().unwrap();
        assert_eq!(count, batch.len());
        assert!(due > 0 || count == 100, "a batch takes what waits");
        for (meta, message) in batch.iter() {
            assert_eq!((meta.peer, meta.truncated, message.to_vec()), (None, false, text(due)));
            due += 1;
        }
    }
    let mut waits = async || {
        batch.clear();
        let polled = poll_fn(|cx| Poll::Ready(link.poll_recv_batch(cx, &mut batch))).await;
        assert!(polled.is_pending() && batch.is_empty());
    };
    waits().await;
    peer.send(b"").unwrap();
    peer.send(b"8 bytes.").unwrap();
    peer.send(b"more than eight").unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        recv_batch(&mut link, &mut batch).await.unwrap();
        seen.extend(batch.iter().map(|(meta, message)| (meta.truncated, message.to_vec())));
    }
    assert_eq!(seen, [(false, vec![]), (false, b"8 bytes.".to_vec()), (true, b"more tha".to_vec())]);
}

#[tokio::test]
async fn a_batch_is_received_in_order_and_whole() {
    received_in_order::<Default>().await;
    received_in_order::<Plain>().await;
}

async fn single_and_batch_in_turn<E: Engine>() {
    let (peer, mut link) = peer_and_link::<E>().await;
    let (mut into, mut batch) = (BytesMut::new(), RecvBatch::new(4, 8));
    for round in 0..3 {
        (0..6_u8).for_each(|i| assert!(peer.send(&[i]).is_ok()));
        let mut seen = Vec::new();
        while seen.len() < 6 {
            into.clear();
            assert_eq!(poll_fn(|cx| link.poll_recv(cx, &mut into)).await.unwrap(), Some(1));
            seen.push(into[0]);
            if seen.len() < 6 {
                recv_batch(&mut link, &mut batch).await.unwrap();
                seen.extend(batch.iter().map(|(_, message)| message[0]));
            }
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5], "round {round}");
    }
}

#[tokio::test]
async fn single_and_batched_receives_take_turns() {
    single_and_batch_in_turn::<Default>().await;
    single_and_batch_in_turn::<Plain>().await;
}

async fn sent_in_order<E: Engine>() {
    for host in ["127.0.0.1", "[::1]"] {
        let peer = std::net::UdpSocket::bind(format!("{host}:0")).unwrap();
        let mut link = link::<E>(&endpoint(&format!("udp://{}", peer.local_addr().unwrap()))).await;
        let large = vec![0; MAX_MESSAGE + 1];
        let messages: [&[u8]; 9] = [b"aa", b"bb", b"c", b"", b"", &large, b"ddd", b"eee", b"ffff"];
        let batch = to_send(&messages);
        assert_eq!(send_batch(&mut link, &batch, 0).await.unwrap(), 5);
        let error = send_batch(&mut link, &batch, 5).await.unwrap_err();
        assert!(matches!(error, SendError::TooLarge { len: 65_508, max: MAX_MESSAGE }), "{error}");
        assert_eq!(send_batch(&mut link, &batch, 6).await.unwrap(), 3);
        assert_eq!(send_batch(&mut link, &batch, 9).await.unwrap(), 0);
        let mut into = [0; 16];
        for message in messages.into_iter().filter(|message| message.len() < 16) {
            let len = peer.recv(&mut into).unwrap();
            assert_eq!(&into[..len], message, "over {host}");
        }
    }
}

#[tokio::test]
async fn a_batch_is_sent_in_order_but_for_what_is_too_large() {
    sent_in_order::<Default>().await;
    sent_in_order::<Plain>().await;
}

/// A slot that stays empty tells that nothing else waits: asking again would be a system call that finds nothing.
#[cfg(all(target_os = "linux", not(swapwire_plain)))]
#[tokio::test]
async fn one_message_is_received_by_one_system_call() {
    let (peer, mut link) = peer_and_link::<Default>().await;
    let (mut into, mut batch) = (BytesMut::new(), RecvBatch::new(8, 8));
    for batched in [false, true, false, true] {
        peer.send(b"x").unwrap();
        if batched {
            recv_batch(&mut link, &mut batch).await.unwrap();
        } else {
            poll_fn(|cx| link.poll_recv(cx, &mut into)).await.unwrap();
        }
        let asked = link.wire.socket.try_io(tokio::io::Interest::READABLE, || Ok(()));
        assert!(asked.is_err(), "the socket still counts as readable; batched: {batched}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn dialling_nobody_is_noise_and_the_link_goes_on() {
    // Bound for now and connected elsewhere, so that the port refuses and no other test takes it.
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    nobody.connect("127.0.0.1:1").unwrap();
    let mut client = client(&endpoint(&format!("udp://{}", nobody.local_addr().unwrap()))).await;
    client.send(b"knock").await.unwrap();
    let error = client.recv().await.unwrap_err();
    assert!(matches!(&error, RecvError::PeerNoise(e) if e.kind() == std::io::ErrorKind::ConnectionRefused), "{error}");
    client.send(b"knock").await.unwrap();
    let error = client.send(b"knock").await.unwrap_err();
    assert!(matches!(&error, SendError::PeerNoise(e) if e.kind() == std::io::ErrorKind::ConnectionRefused), "{error}");
    let Addr::Inet(local) = client.local else { panic!("{:?}", client.local) };
    nobody.connect(local).unwrap();
    client.send(b"knock").await.unwrap();
    nobody.send(b"come in").unwrap();
    assert_eq!(client.recv().await.unwrap(), b"come in");
}

#[cfg(target_os = "linux")]
async fn noise<E: Engine>() {
    fn refused(error: &std::io::Error) -> bool {
        error.kind() == std::io::ErrorKind::ConnectionRefused
    }
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    nobody.connect("127.0.0.1:1").unwrap();
    let mut link = link::<E>(&endpoint(&format!("udp://{}", nobody.local_addr().unwrap()))).await;
    // Longer neighbours are not merged. The answer to the first is there before the second leaves, and ends the call; of
    // several answers that come while a batch leaves, the last is told.
    let knocks = to_send(&[b"knock", b"knock!", b"knock!!"]);
    let mut from = 0;
    while from < 3 {
        match send_batch(&mut link, &knocks, from).await {
            Ok(count) => from += count,
            Err(error) => assert!(matches!(&error, SendError::PeerNoise(e) if refused(e)), "{error}"),
        }
    }
    let mut batch = RecvBatch::new(4, 16);
    let error = recv_batch(&mut link, &mut batch).await.unwrap_err();
    assert!(matches!(&error, RecvError::PeerNoise(e) if refused(e)), "{error}");

    let Ok(SocketAddr::V4(local)) = link.wire.socket.local_addr() else { panic!("not IPv4") };
    assert_eq!(send_batch(&mut link, &knocks, 2).await.unwrap(), 1);
    nobody.connect(local).unwrap();
    let equal = to_send(&[b"one", b"two"]);
    let error = send_batch(&mut link, &equal, 0).await.unwrap_err();
    assert!(matches!(&error, SendError::PeerNoise(e) if refused(e)), "{error}");
    assert_eq!(send_batch(&mut link, &equal, 0).await.unwrap(), 2);
    let mut into = [0; 8];
    for message in [b"one", b"two"] {
        assert_eq!(nobody.recv(&mut into).unwrap(), 3);
        assert_eq!(&into[..3], message);
    }
    nobody.send(b"come in").unwrap();
    assert_eq!(recv_batch(&mut link, &mut batch).await.unwrap(), Some(1));
    assert_eq!(batch.get(0).unwrap().1, b"come in");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn noise_is_told_once_and_the_batch_goes_on() {
    noise::<Default>().await;
    noise::<Plain>().await;
}

#[tokio::test]
async fn a_link_that_is_registered_anew_goes_on() {
    let mut server = server::<Default>("udp://127.0.0.1:0").await;
    let to = endpoint(&format!("udp://127.0.0.1:{}", port(&server.local())));
    let mut link = link::<Default>(&to).await;
    let mut into = BytesMut::new();
    for _ in 0..3 {
        // A receive is pending while the sender renews the registration.
        assert!(poll_fn(|cx| Poll::Ready(link.poll_recv(cx, &mut into))).await.is_pending());
        link.wire.renew().unwrap();
        poll_fn(|cx| link.poll_send(cx, b"x")).await.unwrap();
        echo(&mut server, 1).await;
        assert_eq!(poll_fn(|cx| link.poll_recv(cx, &mut into)).await.unwrap(), Some(1));
    }
}

/// What waits beyond what is expected comes with what arrives next, or at once: never not at all.
#[tokio::test]
async fn a_batch_that_has_what_it_expects_looks_no_further_and_loses_nothing() {
    let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("udp://{}", server.local_addr().unwrap()).parse().unwrap();
    let Link::Messages { mut io, .. } = Udp::new().connect(&endpoint).await.unwrap() else { panic!("messages") };
    poll_fn(|cx| io.poll_send(cx, b"hello")).await.unwrap();
    let (_, client) = server.recv_from(&mut [0; 8]).await.unwrap();
    for message in [b"1", b"2"] {
        server.send_to(message, client).await.unwrap();
    }
    let mut batch = RecvBatch::new(8, 64);
    batch.expect(1);
    let count = poll_fn(|cx| io.poll_recv_batch(cx, &mut batch)).await.unwrap().unwrap();
    assert!(count == 1 || !BATCHED, "{count} messages");
    server.send_to(b"3", client).await.unwrap();
    batch.expect(3);
    while batch.len() < 3 {
        poll_fn(|cx| io.poll_recv_batch(cx, &mut batch)).await.unwrap();
    }
    assert_eq!(batch.iter().map(|(_, message)| message).collect::<Vec<_>>(), [b"1", b"2", b"3"]);
}
